package accounts

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
)

func retentionStore(t *testing.T, test func(t *testing.T, s *Store, id int64)) {
	t.Helper()
	eachStore(t, func(t *testing.T, s *Store, _ *clock.Manual) {
		a := valid()
		require.NoError(t, s.CreateAccount(t.Context(), a))
		test(t, s, a.ID)
	})
}

func TestARetentionPolicyIsTheDefaultUntilSomebodySetsOne(t *testing.T) {
	t.Parallel()
	retentionStore(t, func(t *testing.T, s *Store, id int64) {
		ctx := t.Context()
		r, err := s.FindRetention(ctx, id)
		require.NoError(t, err)
		require.Equal(t, defaultRetention(id), r)
		require.NoError(t, r.Validate(), "the defaults keep the rules")
		_, err = s.FindRetention(ctx, id+1)
		require.True(t, fault.Is(err, fault.NotFound))

		require.NoError(t, s.MoveRetention(ctx, &r, KeptTraces, 7))
		r, err = s.FindRetention(ctx, id)
		require.NoError(t, err)
		require.Zero(t, r.Revision, "a cursor is not somebody's policy")
		require.Equal(t, DefaultTraceDays, r.TraceDays)
		require.EqualValues(t, 7, r.Cursor(KeptTraces))
		require.Zero(t, r.Cursor(KeptInbox))

		r.InboxDays, r.InteractionDays, r.TraceDays, r.LeftFanDays = 3, 0, 400, 1
		stored, err := s.UpdateRetention(ctx, r)
		require.NoError(t, err)
		require.EqualValues(t, 1, stored.Revision)
		all, err := s.FindRetentions(ctx)
		require.NoError(t, err)
		require.Equal(t, []Retention{stored}, all)
		require.EqualValues(t, 7, stored.Cursor(KeptTraces), "a policy leaves the cursors")
	})
}

func TestOfTwoWhoChangeARetentionPolicyTheSecondIsToldToReadAgain(t *testing.T) {
	t.Parallel()
	retentionStore(t, func(t *testing.T, s *Store, id int64) {
		for range 2 {
			first, err := s.FindRetention(t.Context(), id)
			require.NoError(t, err)
			second := first
			first.TraceDays, second.TraceDays = 10, 20
			_, err = s.UpdateRetention(t.Context(), first)
			require.NoError(t, err)
			_, err = s.UpdateRetention(t.Context(), second)
			require.True(t, fault.Is(err, fault.Conflict), "%v", err)
			got, err := s.FindRetention(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, 10, got.TraceDays)
		}
		r := defaultRetention(id + 1)
		_, err := s.UpdateRetention(t.Context(), r)
		require.True(t, fault.Is(err, fault.NotFound))
	})
}

func TestTwoProcessesThatRemoveTheSameDataDoNotMoveEachOthersCursor(t *testing.T) {
	t.Parallel()
	retentionStore(t, func(t *testing.T, s *Store, id int64) {
		a, b := defaultRetention(id), defaultRetention(id)
		require.NoError(t, s.MoveRetention(t.Context(), &a, KeptInbox, 10))
		require.True(t, fault.Is(s.MoveRetention(t.Context(), &b, KeptInbox, 4), fault.Conflict))
		require.NoError(t, s.MoveRetention(t.Context(), &a, KeptInbox, 12))
	})
}

func TestARetentionPolicyIsRefusedByFieldAndRule(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*Retention)
		want   []string // field and rule in turn
	}{
		{func(*Retention) {}, nil},
		{func(r *Retention) { *r = Retention{} }, nil},
		{func(r *Retention) { r.InboxDays, r.InteractionDays, r.TraceDays, r.LeftFanDays = 3, 3, 3, 1 }, nil},
		{func(r *Retention) { r.InboxDays = 2 }, []string{"inbox_days", "range"}},
		{func(r *Retention) { r.InboxDays, r.InteractionDays = -1, 2 }, []string{"inbox_days", "range", "interaction_days", "range"}},
		{func(r *Retention) { r.TraceDays = 2 }, []string{"trace_days", "range"}},
		{func(r *Retention) { r.TraceDays = MaxKeptDays + 1 }, []string{"trace_days", "range"}},
		{func(r *Retention) { r.LeftFanDays = -1 }, []string{"left_fan_days", "range"}},
		{func(r *Retention) { r.InteractionDays = 29 }, []string{"interaction_days", "outlive_inbox"}},
		{func(r *Retention) { r.InboxDays = 0 }, []string{"interaction_days", "outlive_inbox"}},
	} {
		r := defaultRetention(1)
		c.change(&r)
		var got []string
		for _, f := range fault.Fields(r.Validate()) {
			got = append(got, f.Field, f.Rule)
		}
		require.Equal(t, c.want, got, "%+v", r)
	}
}

func TestZeroDaysKeepForEver(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	r := defaultRetention(1)
	for _, k := range AllKept() {
		before, bounded := r.Before(k, now)
		require.True(t, bounded, k)
		require.Equal(t, now.AddDate(0, 0, -r.Days(k)).UnixMilli(), before)
	}
	r = Retention{}
	for _, k := range AllKept() {
		_, bounded := r.Before(k, now)
		require.False(t, bounded, k)
	}
}
