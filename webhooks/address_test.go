package webhooks_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/database"
	"hongyan/internal/testdb"
	"hongyan/webhooks"
)

// The name is stored while private addresses are allowed, and posted to by a process that does not allow them: as with a name whose address changes.
func TestAnAddressInsideOfTheNetworkIsRefusedAtTheConnection(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		open, closed := newOffice(t, db, true), newOffice(t, db, false)
		r := newReceiver(t)
		port := r.URL[len("http://127.0.0.1"):]
		for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
			e, _ := open.create("http://" + host + port)
			open.enqueue(e.ID, events(1)...)
			require.Equal(t, 1, closed.run(closed.worker("a")))
			waiting := closed.entries(e.ID, webhooks.StateWaiting)
			require.Len(t, waiting, 1)
			require.Contains(t, closed.attempts(&waiting[0])[0].Error, "is an address inside of a network")
		}
		require.Empty(t, r.posts())
	})
}
