// Package simulator is a strict fake of the WeChat Official Account platform: tokens,
// customer-service messages with their grants, quotas, signed pushes to the account's
// callback, faults, and invented fans who act.
//
// It owns the platform's side of the conversation and a record of it, so that tests count
// what was accepted at the other end of the wire. Where nobody outside the platform knows
// how it behaves (platform.md 13.3), a field of Switches chooses. It is stricter than the
// platform where strictness finds our mistakes: unknown JSON fields and unneeded \u escapes
// are refused.
//
// It keeps everything in memory and may import wechat, wechat/callback and internal
// packages; it must not import a domain room, a database or a queue.
package simulator
