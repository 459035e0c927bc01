// Package stream tells browsers and programs what happens as it happens (实时更新), by server-sent events.
//
// Whoever changes something publishes an event in the same transaction, into the table stream_events. Every process that serves
// connections has a Hub, which reads the table once for all of them. An event holds ids and figures, never what people wrote: who wants
// to know more asks the API.
//
// The order is that of seq, and seq is given after the fact: transactions get their ids when they insert and are seen when they
// commit, so that a reader who goes by id would pass over the one that commits late. A Hub gives committed events their seq, under a
// lock that is held for that alone; publishers do not wait for it. So what is read up to a seq is complete, on every process the same,
// and the seq is the event's id on the wire, by which a connection resumes.
//
// Where each single event does not matter, Ticks gather what happened for a second: figures, progress, a sample. They may be lost
// with their process.
//
// The package owns the tables stream_events and stream_cursor, and may import clock, database, fault and startstop.
package stream
