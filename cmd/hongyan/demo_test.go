package main

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/deliveries"
	"hongyan/internal/lang"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// fewFans is a population with which the demo's week takes a second.
const fewFans = 30

func demoFor(t *testing.T, seed uint64) demoOptions {
	t.Helper()
	dir, err := memoryDir()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return demoOptions{seed: seed, fans: fewFans, dir: dir, log: slog.New(slog.DiscardHandler)}
}

func TestTheSameSeedGivesTheSameBytesAndAnotherGivesOthers(t *testing.T) {
	t.Parallel()
	week := func(seed uint64) string {
		var out bytes.Buffer
		held, err := demoWeek(t.Context(), &out, demoFor(t, seed))
		require.NoError(t, err)
		require.True(t, held, out.String())
		return out.String()
	}
	first := week(7)
	require.Equal(t, first, week(7))
	require.NotEqual(t, strings.ReplaceAll(first, "seed          7", ""), strings.ReplaceAll(week(8), "seed          8", ""))
	require.Contains(t, first, "关注公众号")
	require.Contains(t, first, deliveries.StateWords(deliveries.StateSent, lang.ZH))
}

// played is a week that is over, with everything that came of it.
func played(t *testing.T) (*demoWorld, *demoBook) {
	t.Helper()
	w, err := newDemoWorld(t.Context(), demoFor(t, 7))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.close()) })
	require.NoError(t, w.play(t.Context()))
	book, err := w.read(t.Context())
	require.NoError(t, err)
	require.Empty(t, broken(w.checks(book)))
	return w, book
}

// broken lists the checks that do not hold, by the English end of their names.
func broken(checks []demoCheck) []string {
	var out []string
	for _, c := range checks {
		if !c.holds {
			_, english, _ := strings.Cut(c.name, " / ")
			out = append(out, english)
		}
	}
	return out
}

func TestTheDemosChecksSeeALedgerThatWasTamperedWith(t *testing.T) {
	t.Parallel()
	w, _ := played(t)
	for _, c := range []struct {
		name     string
		from, to deliveries.State
		breaks   []string
	}{
		{"a skipped message is called sent", deliveries.StateSkipped, deliveries.StateSent, []string{"accepted = sent + accepted with a lost answer", "fan by fan: sent ≤ arrived ≤ sent + unknown"}},
		{"a sent message is called skipped", deliveries.StateSent, deliveries.StateSkipped, []string{"accepted = sent + accepted with a lost answer", "fan by fan: sent ≤ arrived ≤ sent + unknown"}},
		{"a skipped message is called unknown", deliveries.StateSkipped, deliveries.StateUnknown, []string{"unknown = answers lost by the platform's count"}},
		{"a skipped message is still planned", deliveries.StateSkipped, deliveries.StatePlanned, []string{"every delivery is in one terminal state"}},
	} {
		id := tamper(t, w, "SELECT MIN(id) FROM deliveries WHERE channel = 1 AND state = ?", c.from, c.to)
		book, err := w.read(t.Context())
		require.NoError(t, err)
		require.Equal(t, c.breaks, broken(w.checks(book)), c.name)
		tamper(t, w, "SELECT ?", id, c.from)
	}
}

// tamper gives the delivery that a query finds another state, and returns its id.
func tamper(t *testing.T, w *demoWorld, query string, arg any, to deliveries.State) (id int64) {
	t.Helper()
	require.NoError(t, w.server.storage.db.Tx(t.Context(), func(tx *gorm.DB) error {
		if err := tx.Raw(query, arg).Scan(&id).Error; err != nil {
			return err
		}
		return tx.Exec("UPDATE deliveries SET state = ? WHERE id = ?", to, id).Error
	}))
	require.NotZero(t, id)
	return id
}

func TestTheDemosChecksSeeWhatReachedAFanAgainstTheRules(t *testing.T) {
	t.Parallel()
	w, book := played(t)
	fan := &book.fans[0]
	text := w.drips[0].Definition.Steps[1].Messages[0].Text.Content
	noon := demoBegin.AddDate(0, 0, 20).Add(12 * time.Hour)
	at := func(minutes ...int) (out []simulator.Arrival) {
		for _, m := range minutes {
			out = append(out, simulator.Arrival{OpenID: fan.fan.OpenID, Via: simulator.ViaKefu, Content: text, At: noon.Add(time.Duration(m) * time.Minute)})
		}
		return out
	}
	const hour = 60
	for _, c := range []struct {
		name  string
		extra []simulator.Arrival
		want  recounted
	}{
		{"at noon", at(0), recounted{most: 1}},
		{"at ten in the evening", at(10 * hour), recounted{most: 1, quiet: 1}},
		{"just before eight in the morning", at(20*hour - 1), recounted{most: 1, quiet: 1}},
		{"at eight in the morning", at(20 * hour), recounted{most: 1}},
		{"four on a day", at(0, hour, 2*hour, 3*hour), recounted{most: 4}},
		{"too soon after another", at(0, 29), recounted{most: 2, close: 1}},
		{"something that no drip says", []simulator.Arrival{{Content: "?", At: noon}}, recounted{strange: 1}},
	} {
		c.want.marketing = len(c.extra) - c.want.strange
		require.Equal(t, c.want, w.recount(&demoBook{fans: []demoFan{{fan: fan.fan, arrivals: c.extra}}}), c.name)
	}
	fan.arrivals = append(fan.arrivals, at(10*hour, 10*hour+1, 10*hour+2, 10*hour+3)...)
	require.Subset(t, broken(w.checks(book)), []string{
		"no marketing message in quiet hours", "the cap holds per fan and day", "the gap between marketing messages holds",
	})
}

func TestTheDemosChecksSeeAMessageThatWentTwice(t *testing.T) {
	t.Parallel()
	w, book := played(t)
	require.NoError(t, w.sim.SetFaults("", simulator.Faults{}))
	client := wechat.New(wechat.Options{Transport: w.sim.RoundTripper(), Clock: w.clock})
	again := book.fans[0].arrivals[0]
	for _, f := range book.fans { // somebody who still follows
		state, err := w.sim.Fan(f.fan.OpenID)
		require.NoError(t, err)
		if state.Subscribed && len(f.arrivals) > 0 {
			again = f.arrivals[0]
		}
	}
	require.NoError(t, w.sim.GrantFan(again.OpenID, wechat.TriggerMessage))
	require.NoError(t, client.SendKefu(t.Context(), w.account.Platform(), again.OpenID, wechat.TextMessage(again.Content)))
	book, err := w.read(t.Context())
	require.NoError(t, err)
	require.Subset(t, broken(w.checks(book)), []string{"no fan got a message twice", "accepted = sent + accepted with a lost answer"})
}

func TestTheLiveDripArrivesThroughTheWholeProgram(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	held, err := demoLive(t.Context(), &out, demoOptions{seed: 1, dir: t.TempDir(), log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.True(t, held, out.String())
	require.Contains(t, out.String(), "被动回复 reply")
}

func TestAFailedCheckIsShown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.False(t, printChecks(&out, []demoCheck{{true, "a", "1 = 1"}, {false, "b", "1 = 2"}}))
	require.Contains(t, out.String(), "✓ a")
	require.Contains(t, out.String(), "✗ b")
}
