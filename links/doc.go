// Package links tracks which links of messages fans open (跟踪链接): an address in a message becomes one of ours, which leads on to it and counts. It owns the
// tables links, link_keys, link_clicks and link_figures, and imports internal only.
//
// A tracked address is the installation's public address, /l/ and a token: the ids of the link and of the delivery, signed. Nothing is written when a message is
// sent, and a token that was not made here leads nowhere. Where it leads is what the table links holds, and not what the request says, so that it is no open
// redirect.
//
// The signing key is random, sealed by the installation's vault and stored: messages stay in a chat for years, and their links work on after the vault's key
// has been changed, however often.
//
// The first time that a person opens a link of a delivery is told to Options.Tapped, in the same transaction that counts it.
package links
