// Package wechat speaks the HTTP API of WeChat Official Accounts.
//
// It owns the client (one call core on net/http, no SDK), the access token and its
// refresh, customer-service messages and their rendering, the platform's error codes
// and what each means for a send, and the dated rules of grants. It knows nothing of
// fans, campaigns or storage: a TokenStore is handed in.
//
// It may import internal packages only, nothing else of ours.
package wechat
