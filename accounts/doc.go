// Package accounts owns Official Accounts: their credentials, capabilities and sending policy.
//
// Secrets are sealed before they reach the database and are never logged. It may import guard, wechat and
// internal. Times are unix milliseconds.
package accounts
