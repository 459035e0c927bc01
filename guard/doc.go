// Package guard answers one question: may this message go to this fan now?
//
// It is pure: a decision is a function of a moment, the account's policy and facts
// about the fan, so that the same code decides, forecasts and explains. It imports the
// standard library, internal/fault and the rule types of package wechat, and must never
// import a database, a clock or another room. Times are unix milliseconds unless they say
// otherwise; days are calendar days in the account's zone.
package guard
