// Package fans owns the people an account writes to: fans with their tags and attributes, what they did, and the inbox in which
// every act of a fan is stored before it is acknowledged.
//
// What we are told of a fan, or find out, are own events: an API event, a tag that a drip waits for, a silence. They are rows of the same inbox with another
// origin. The package synchronises fans, tags and the blacklist with the platform, and erases persons.
//
// It may import accounts, guard, limits, wechat and internal. Every query names its account. Times are unix milliseconds.
package fans
