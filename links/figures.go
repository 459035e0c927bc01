package links

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"hongyan/internal/database"
)

// Figure counts how often a link of a message was opened.
type Figure struct {
	MessageID int64
	URL       string
	People    int64 // deliveries in which a person opened it: a fan counts once for each message
	Taps      int64 // how often persons did
	Others    int64 // how often something else did: robots, previews, browsers outside of WeChat
}

// Query says of which messages figures are read.
type Query struct {
	AccountID  int64
	MessageIDs []int64
	From, To   int // first and last day, as Ledger numbers them
}

// Figures reads what was counted, by message, then in the order in which the links were first stored.
func (s *Store) Figures(ctx context.Context, q Query) ([]Figure, error) {
	var out []Figure
	for chunk := range slices.Chunk(database.SortedSet(q.MessageIDs), database.ChunkSize) {
		err := database.EachRow(s.o.DB.Read(ctx), func(rows *sql.Rows) error {
			var f Figure
			err := rows.Scan(&f.MessageID, &f.URL, &f.People, &f.Taps, &f.Others)
			out = append(out, f)
			return err
		}, "SELECT f.message_id, l.url, f.people, f.taps, f.others FROM (SELECT message_id, link_id, SUM(people) AS people, SUM(taps) AS taps, SUM(others) AS others FROM link_figures "+
			"WHERE account_id = ? AND message_id IN ? AND day >= ? AND day <= ? GROUP BY message_id, link_id) f JOIN links l ON l.id = f.link_id ORDER BY f.message_id, f.link_id",
			q.AccountID, chunk, q.From, q.To)
		if err != nil {
			return nil, fmt.Errorf("read the figures of links: %w", err)
		}
	}
	return out, nil
}
