// Package webhooks posts events to the other systems of an account (事件推送): an event is stored in the transaction that it
// tells of, and a worker posts it, signed, until it is taken or given up. It owns the tables webhooks, webhook_events and
// webhook_attempts, and imports internal only.
//
// An event arrives at least once, in no particular order: a worker that dies after posting and before noting the answer
// leaves the event to another, which posts it again with the same id. The receiver tells repeats by that id.
//
// A post looks so:
//
//	POST /path
//	Content-Type: application/json
//	Hongyan-Event-Id: 01JD…                       the same at every try
//	Hongyan-Signature: t=1770000000,v1=<hex>       t in unix seconds; v1 is HMAC-SHA256 over "t.body" with the webhook's secret
//
//	{"id":"01JD…","type":"drip.step","account_id":1,"at":1770000000000,"data":{…}}
//
// Any answer 2xx within ten seconds is a yes. All others, redirects among them, are a no, after which the event is posted again: after
// a minute, and then less and less often, ten times in 28 hours.
//
// Addresses inside of the own network are refused when the connection is made, after the name was looked up, so that a name that
// changes its address between two look-ups is no way around.
package webhooks
