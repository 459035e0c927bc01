// Package admin is the HTTP API (管理接口) for people and programs, and who may use it: members, their sessions, API tokens.
//
// It is thin: a handler reads what was sent, calls a room, and shows what the room says. What all operations share is in register.go and the
// files that it names: who asks (auth.go), how often (rates.go), which account, revisions (edit.go), keys against sending twice
// (idempotency.go), lists (page.go), errors (problem.go). Each kind of thing has a file of its own; accounts.go is the model to follow. The
// document at /api/openapi.json is made from the same types, and so is the page at /api/reference.
//
// It owns the tables members, sessions, api_tokens and idempotency_keys. It imports the rooms of the domain, guard, wechat and internal, and never
// scheduler or wechat/simulator: what it needs of those is an interface in Options that cmd joins.
package admin
