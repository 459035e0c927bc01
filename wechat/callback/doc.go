// Package callback turns a push of the WeChat platform into a trusted Event, and an
// answer into the body of a passive reply.
//
// It owns the signature and AES envelope of pushes, the reading of their XML or JSON,
// the typed values of all messages and events (platform.md 2.4, 2.5), and passive
// replies (platform.md 2.6). Everything here is a pure function of its input: storing,
// acknowledging and answering in time are the caller's.
//
// It may import package wechat and internal packages, nothing else of ours.
package callback
