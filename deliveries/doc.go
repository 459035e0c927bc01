// Package deliveries is the ledger: one row for each message intended for a fan, from
// planned to exactly one terminal state with one reason.
//
// It plans rows, gathers due ones in batches, marks them before a call and records what came of it, and
// explains each. It owns the tables deliveries, decisions, batches,
// delivery_figures and reactions. It may import guard,
// limits, wechat and internal; it knows nothing of campaigns or fans beyond their ids.
// Times are unix milliseconds.
package deliveries
