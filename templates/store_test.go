package templates_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
	"hongyan/templates"
	"hongyan/wechat"
)

func save(t *testing.T, db *database.DB, s *templates.Store, accountID int64, messages ...wechat.Message) (ids []int64, err error) {
	t.Helper()
	err = db.Tx(context.Background(), func(tx *gorm.DB) error {
		ids, err = s.Save(tx, accountID, messages)
		return err
	})
	return ids, err
}

func TestStoredMessagesComeBackAndStayInTheirAccount(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		clk := clock.NewManual(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
		s := templates.New(db, clk)
		messages := []wechat.Message{text("hi {{nickname|you}} & <b>"), {Kind: wechat.KindImage, Image: &wechat.Media{MediaID: "m1"}}}
		ids, err := save(t, db, s, 1, messages...)
		require.NoError(t, err)
		require.Len(t, ids, 2)

		for _, store := range []*templates.Store{s, templates.New(db, clk), s} {
			found, err := store.Load(ctx, 1, []int64{ids[0], ids[1], ids[0], 999})
			require.NoError(t, err)
			require.Len(t, found, 2)
			require.Equal(t, messages[0], found[ids[0]].Source())
			require.Equal(t, messages[1], found[ids[1]].Source())
		}
		_, err = s.Get(ctx, 2, ids[0])
		require.True(t, fault.Is(err, fault.NotFound), "another account's message, though in memory: %v", err)
		got, err := s.Get(ctx, 1, ids[0])
		require.NoError(t, err)
		again, err := s.Get(ctx, 1, ids[0])
		require.NoError(t, err)
		require.Same(t, got, again)
	})
}

func TestNothingIsStoredWhenOneMessageIsBad(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		s := templates.New(db, clock.System())
		_, err := save(t, db, s, 1, text("fine"), text("{{nickname}}"), text(""))
		fields := fault.Fields(err)
		require.Len(t, fields, 2)
		require.Equal(t, "messages[1].text.content", fields[0].Field)
		require.Equal(t, "messages[2].text.content", fields[1].Field)
		var n int64
		require.NoError(t, db.Read(context.Background()).Raw("SELECT COUNT(*) FROM messages").Scan(&n).Error)
		require.Zero(t, n)
	})
}
