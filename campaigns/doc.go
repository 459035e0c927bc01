// Package campaigns owns drips: what they say, who enters them, and which step comes next.
//
// A drip is a sequence of steps that a fan's act starts. What it says is a version: fans in the middle of a run keep
// theirs when members change the drip. Matching, re-entry, reachability and the placing of steps are pure functions;
// the store around them plans messages in package deliveries, within the caller's transaction.
//
// The package owns the tables campaigns, campaign_versions and enrolments. It may import guard, accounts, limits,
// fans, templates, deliveries, wechat and internal, and must not import scheduler, admin or Fiber. Times are unix
// milliseconds; clock times and days are those of the account's zone.
package campaigns
