// Package limits keeps what has been used of what a fan and the platform allow: grants,
// caps of day, week and month, gaps and API budgets in SQL; rates and in-flight slots in Redis.
//
// What counts per fan is one row of fan_limits. Whoever changes a fan's limits locks that row first, so that triggers and corrections of one fan
// happen one after the other; a reservation is stored only if the row is as it was when the decision read it, locked or
// not. It may import guard, wechat and internal. Times are unix milliseconds; days are numbered by guard.Policy.Day.
package limits
