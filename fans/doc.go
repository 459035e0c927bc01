// Package fans owns the people an account writes to: fans, their interactions, and the inbox of
// pushes in which every act of a fan is stored before it is acknowledged.
//
// It may import accounts, limits, wechat and internal. Every query names its account. Times are unix milliseconds.
package fans
