// Package campaigns owns drips: what they say, who enters them, and which step comes next.
//
// A drip is a tree of steps that a fan's act starts. What it says is a version: fans in the middle of a run keep
// theirs when members change the drip. All steps of a version are numbered in the order in which they are written, and a run only ever goes to higher
// numbers, so that it always ends. Matching, re-entry, reachability and the placing of steps are pure functions;
// the store around them plans messages in package deliveries, within the caller's transaction.
//
// Of steps that send, the ledger says how far a run has come; of the others its enrolment does: base_at, timer_at and waiting. What a step does besides
// is done in the transaction that moves the run on, so it happens once. Who moves runs on: Enter, React, Advance, Wake and, for what was left behind,
// Rederive; all of them lock the runs first.
//
// Forecasts and the shadow mode take imagined fans through the same matching, placing and deciding in memory: see rehearsal. They store and send nothing.
//
// The package owns the tables campaigns, campaign_versions, enrolments,
// enrolment_figures and step_figures. It may import guard, accounts, limits,
// fans, segments, templates, deliveries, wechat and internal, and must not import scheduler, admin or Fiber. Times are unix
// milliseconds; clock times and days are those of the account's zone.
package campaigns
