// Package stops makes a stop hold everywhere at once: a pause of a campaign, the stop of an account, the kill
// switch, and the refusal of a restored copy to send.
//
// Every change of a stop bumps one epoch in SQL, in the transaction that makes the change. Each process that
// sends watches the epoch, asks before every call, and acknowledges what it has seen; whoever stops waits
// for that. A process that cannot reach the database may not call anybody for long: its permit ends. The package owns the
// tables installation and workers and imports nothing of ours but clock, database and fault.
package stops
