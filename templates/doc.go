// Package templates says what a message says: its content with variables in it, how it is rendered for a fan, and
// where it is kept.
//
// A variable is written {{name|fallback}} inside the strings of a message. The fallback stands in when the fan has no
// such value; it is required for variables that may have none. Contents are never changed once stored: a new wording
// is a new row, so that what a delivery said can always be read again.
//
// The package owns the table messages. It may import accounts, wechat and internal, and knows nothing of campaigns,
// fans or deliveries.
package templates
