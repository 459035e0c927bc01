package scheduler_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/internal/fault"
	"hongyan/links"
)

const (
	public = "https://h.example.com"
	shop   = "https://shop.example.com/coupon?from=wx"
)

// linked is a step with a text whose links are tracked.
func linked(when string, urls ...string) j {
	var b strings.Builder
	for i, url := range urls {
		fmt.Fprintf(&b, `<a href="%s">link %d</a> `, url, i)
	}
	return with(step(when, b.String()), j{"track_links": true})
}

func definition(t testing.TB, triggers []any, steps ...j) []byte {
	t.Helper()
	raw, err := json.Marshal(j{"triggers": triggers, "steps": steps})
	require.NoError(t, err)
	return raw
}

var href = regexp.MustCompile(`href="([^"]*)"`)

// hrefs are the addresses in the messages that reached a fan, in their order.
func (w *world) hrefs(openid string) []string {
	w.t.Helper()
	var out []string
	for _, content := range w.got(openid) {
		for _, found := range href.FindAllStringSubmatch(content, -1) {
			out = append(out, found[1])
		}
	}
	return out
}

// target is where a tracked address leads.
func (w *world) target(address string) links.Target {
	w.t.Helper()
	token, ours := strings.CutPrefix(address, public+links.Path)
	require.True(w.t, ours, address)
	target, err := w.s.Links.Resolve(w.t.Context(), token)
	require.NoError(w.t, err)
	return target
}

// open lets somebody open an address that reached them, and does what is due then.
func (w *world) open(address string, person bool) links.Target {
	w.t.Helper()
	target := w.target(address)
	require.NoError(w.t, w.s.Links.Count(w.t.Context(), target, person))
	w.turn()
	return target
}

// asked lets a fan enter a drip by a word, and returns the addresses that reach them.
func (w *world) asked(word string) (openid string, addresses []string) {
	w.t.Helper()
	openid = w.stranger()
	w.follow(openid)
	w.write(openid, word)
	w.after(time.Minute)
	return openid, w.hrefs(openid)
}

func eachTracking(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	each(t, setup{public: public}, test)
}

func TestATrackedLinkLeadsWhereItWasWrittenAndToTheFanItWasSentTo(t *testing.T) {
	eachTracking(t, func(t *testing.T, w *world) {
		w.drip(onWord("go"), nil, linked("0s", shop, "https://b.example.com"), linked("10s", shop))
		li, ofLi := w.asked("go")
		_, ofMei := w.asked("go")
		require.Len(t, ofLi, 3, "the passive reply and the customer-service message: %v", w.got(li))
		rows := w.rows(li)
		require.Equal(t, links.Target{
			URL: shop, AccountID: w.account.ID, LinkID: w.target(ofLi[0]).LinkID, DeliveryID: rows[0].ID, FanID: rows[0].FanID, MessageID: rows[0].MessageID,
		}, w.target(ofLi[0]))
		require.Equal(t, "https://b.example.com", w.target(ofLi[1]).URL)
		require.Equal(t, rows[1].ID, w.target(ofLi[2]).DeliveryID)
		require.Equal(t, w.target(ofLi[0]).LinkID, w.target(ofLi[2]).LinkID, "an address is stored once")
		require.NotEqual(t, w.target(ofLi[0]).FanID, w.target(ofMei[0]).FanID)
		require.LessOrEqual(t, len(ofLi[0]), w.s.Links.Longest())
		require.EqualValues(t, 2, w.number("SELECT COUNT(*) FROM links"), "nothing is written when a message is sent")
		require.Zero(t, w.number("SELECT COUNT(*) FROM link_clicks"))
		w.agreed()
	})
}

func TestATapOnALinkIsAClickOfItsOwnMessage(t *testing.T) {
	eachTracking(t, func(t *testing.T, w *world) {
		d := w.drip(onWord("go"), nil, linked("0s", shop), step("20s", "later"), step("10d", "much later"))
		openid, addresses := w.asked("go")
		before := w.usage(openid).Grants
		_, err := w.sim.Arrivals(openid)
		require.NoError(t, err)
		w.after(time.Hour)
		w.open(addresses[0], true)
		w.open(addresses[0], true)
		w.open(addresses[0], false)
		r := w.figures(d, campaigns.ReportQuery{})
		require.Equal(t, []int64{1, 0, 0}, []int64{r.Steps[0].Clicked, r.Steps[1].Clicked, r.Steps[2].Clicked}, "not the latest message: its own")
		require.Equal(t, []campaigns.LinkReport{{URL: shop, People: 1, Taps: 2, Others: 1}}, r.Steps[0].Links)
		require.Empty(t, r.Steps[1].Links)
		require.EqualValues(t, 1, w.number("SELECT COUNT(*) FROM interactions WHERE kind = 'link_tap' AND detail = ?", shop), "a second tap is none")
		require.Equal(t, before, w.usage(openid).Grants, "WeChat knows nothing of the tap: no grant is opened, none is touched")
		require.Len(t, w.who(d, campaigns.WhoQuery{StepNo: 1, Outcome: "clicked"}), 1)
		w.replayed()
		w.agreed()

		w.after(9 * 24 * time.Hour)
		_, others := w.asked("go")
		w.after(50 * time.Hour)
		w.open(others[0], true)
		late := w.figures(d, campaigns.ReportQuery{})
		require.EqualValues(t, 1, late.Steps[0].Clicked, "within 48 hours, as every reaction")
		require.EqualValues(t, 2, late.Steps[0].Links[0].People)
		w.replayed()
	})
}

func TestATapOnALinkEndsRunsAndWaitsAsATapOnTheMenuDoes(t *testing.T) {
	eachTracking(t, func(t *testing.T, w *world) {
		exits := w.drip(onWord("a"), j{"exits": []any{j{"on": "clicked"}}}, linked("0s", shop), step("1d", "still here"))
		byKey := w.drip(onWord("b"), j{"exits": []any{j{"on": "clicked", "key": shop}}}, linked("0s", shop, "https://b.example.com"), step("1d", "still here"))
		waits := w.drip(onWord("c"), nil, linked("0s", shop),
			j{"kind": "wait_for", "for": j{"on": "clicked"}, "timeout": "1d", "then": []any{step("0s", "thanks")}, "else": []any{step("0s", "pity")}},
			j{"kind": "if", "condition": j{"field": "run.clicked", "op": "is", "value": true}, "then": []any{step("10s", "clicked")}, "else": []any{step("10s", "not clicked")}})
		menu := w.drip([]any{j{"kind": "menu", "key": shop}}, nil, step("0s", "from the menu"))

		_, a := w.asked("a")
		w.open(a[0], true)
		require.Equal(t, []campaigns.ExitCount{{Reason: campaigns.ExitClicked, N: 1}}, w.figures(exits, campaigns.ReportQuery{}).Runs.Exits)

		_, b := w.asked("b")
		w.open(b[1], true)
		require.Zero(t, w.figures(byKey, campaigns.ReportQuery{}).Runs.Exited, "another address")
		w.open(b[0], true)
		require.EqualValues(t, 1, w.figures(byKey, campaigns.ReportQuery{}).Runs.Exited)

		li, c := w.asked("c")
		mei, _ := w.asked("c")
		w.open(c[0], false)
		require.Len(t, w.got(li), 1, "a robot is no fan")
		w.open(c[0], true)
		w.after(25 * time.Hour)
		require.Len(t, w.got(li), 3)
		require.Contains(t, w.got(li)[1], "thanks")
		require.Regexp(t, `\bclicked`, w.got(li)[2])
		require.Contains(t, strings.Join(w.got(mei), " "), "pity")
		require.Contains(t, strings.Join(w.got(mei), " "), "not clicked")
		require.Zero(t, w.figures(menu, campaigns.ReportQuery{}).Runs.Entered, "a link starts nothing")
		require.EqualValues(t, 1, w.figures(waits, campaigns.ReportQuery{}).Total.Clicked)
		w.replayed()
	})
}

func TestATapBringsNobodyBackAndNoWindow(t *testing.T) {
	eachTracking(t, func(t *testing.T, w *world) {
		w.drip(onWord("go"), nil, linked("0s", shop))
		w.drip([]any{j{"kind": "silent", "hours": 2}}, nil, with(step("0s", "where are you"), j{"no_grant": "wait"}))
		openid, addresses := w.asked("go")
		fan, err := w.s.Fans.FindFanByOpenID(t.Context(), w.account.ID, openid)
		require.NoError(t, err)
		w.after(60 * time.Hour)
		w.open(addresses[0], true)
		after, err := w.s.Fans.FindFanByOpenID(t.Context(), w.account.ID, openid)
		require.NoError(t, err)
		require.Equal(t, fan.InteractedAt, after.InteractedAt)
		require.Zero(t, max(0, w.usage(openid).Grants.Available(w.clk.Now().UnixMilli(), 0)), "nothing may be sent after a tap")
		_, err = w.sim.Unfollow(t.Context(), openid)
		require.NoError(t, err)
		w.turn()
		w.open(addresses[0], true)
		after, err = w.s.Fans.FindFanByOpenID(t.Context(), w.account.ID, openid)
		require.NoError(t, err)
		require.False(t, after.Subscribed)
		w.replayed()
	})
}

func TestAnErasedFansClicksAreGoneAndNoneCome(t *testing.T) {
	eachTracking(t, func(t *testing.T, w *world) {
		d := w.drip(onWord("go"), nil, linked("0s", shop))
		openid, addresses := w.asked("go")
		_, others := w.asked("go")
		w.open(others[0], true)
		target := w.open(addresses[0], true)
		require.NoError(t, w.s.Fans.EraseFans(t.Context(), w.account.ID, []int64{target.FanID}))
		require.Zero(t, w.number("SELECT COUNT(*) FROM link_clicks WHERE fan_id = ?", target.FanID))
		w.open(addresses[0], true)
		require.Zero(t, w.number("SELECT COUNT(*) FROM link_clicks WHERE fan_id = ?", target.FanID))
		require.Zero(t, w.number("SELECT COUNT(*) FROM interactions WHERE fan_id = ? AND detail <> ''", target.FanID))
		require.Zero(t, w.number("SELECT COUNT(*) FROM inbox WHERE openid = ?", openid))
		require.EqualValues(t, 2, w.figures(d, campaigns.ReportQuery{}).Steps[0].Links[0].People, "counts stay")
		require.EqualValues(t, 1, w.number("SELECT COUNT(*) FROM link_clicks"))
		require.Equal(t, shop, target.URL)
	})
}

func TestOnlyWhatADripSendsIsTracked(t *testing.T) {
	eachTracking(t, func(t *testing.T, w *world) {
		d := w.drip(onWord("go"), nil, linked("0s", shop), step("1s", `<a href="`+shop+`">plain</a>`))
		openid, addresses := w.asked("go")
		require.Equal(t, shop, addresses[1], "a step that does not ask for it")
		fan, err := w.s.Fans.FindFanByOpenID(t.Context(), w.account.ID, openid)
		require.NoError(t, err)
		_, err = w.s.Campaigns.SendTest(t.Context(), w.account, d.ID, campaigns.TestSend{FanIDs: []int64{fan.ID}, StepNo: 1, Key: "k"})
		require.NoError(t, err)
		w.turn()
		require.Equal(t, shop, w.hrefs(openid)[2], "a test is no real delivery")
	})
}

func TestAMessageThatDoesNotFitWithTrackedLinksGoesWithPlainOnes(t *testing.T) {
	t.Parallel()
	embedded(t, setup{public: public}, func(t *testing.T, w *world) {
		const short = "https://a.cn"
		body := `<a href="` + short + `">x</a>{{nickname|}}`
		body += strings.Repeat("y", 2048-len(body)-w.s.Links.Longest()+len(short)+len("{{nickname|}}"))
		w.drip(onWord("go"), nil, with(step("10s", body), j{"track_links": true}))
		openid := w.stranger()
		w.follow(openid)
		w.tx(func(tx *gorm.DB) error {
			return tx.Exec("UPDATE fans SET nickname = ? WHERE openid = ?", strings.Repeat("雁", 10), openid).Error
		})
		w.write(openid, "go")
		w.after(time.Minute)
		require.Equal(t, []string{short}, w.hrefs(openid))
	})
}

func TestTrackingIsRefusedWithoutAPublicAddressAndWhereItDoesNotFit(t *testing.T) {
	t.Parallel()
	create := func(w *world, s j) error {
		_, err := w.s.Campaigns.CreateDrip(w.t.Context(), w.account, campaigns.NewDrip{Name: "d", Definition: definition(w.t, onWord("go"), s)})
		return err
	}
	embedded(t, setup{}, func(t *testing.T, w *world) {
		err := create(w, linked("0s", shop))
		fields := fault.Fields(err)
		require.Len(t, fields, 1)
		require.Equal(t, []string{"steps[0].track_links", "public_url"}, []string{fields[0].Field, fields[0].Rule})
		require.ErrorContains(t, err, "set HONGYAN_PUBLIC_URL")
		require.Zero(t, w.number("SELECT COUNT(*) FROM links"))
	})
	embedded(t, setup{public: public}, func(t *testing.T, w *world) {
		long := linked("0s", "https://a.cn", "https://b.cn")
		long["messages"] = []any{text(`<a href="https://a.cn">x</a>` + strings.Repeat("y", 2000))}
		fields := fault.Fields(create(w, long))
		require.Len(t, fields, 1)
		require.Equal(t, []string{"steps[0].messages[0]", "tracked_bytes"}, []string{fields[0].Field, fields[0].Rule})
		delete(long, "track_links")
		require.NoError(t, create(w, long))

		d := w.drip(onWord("go"), nil, linked("0s", shop))
		w.o.public = ""
		bare := w.process()
		copied, err := w.s.Campaigns.CloneDrip(t.Context(), w.account, d.ID, "copy")
		require.NoError(t, err)
		err = bare.Campaigns.StartDrip(t.Context(), w.account, campaigns.Change{ID: copied.ID})
		require.Equal(t, "public_url", fault.Fields(err)[0].Rule, "a draft of before is not started")
		openid := w.stranger()
		w.follow(openid)
		w.s = bare
		require.NoError(t, bare.Watch.RunOnce(t.Context()))
		w.write(openid, "go")
		w.after(time.Minute)
		require.Equal(t, []string{shop}, w.hrefs(openid), "what runs already goes on, with the addresses as they are")
	})
}

func TestACheckWarnsOfLinksThatAreLeftAsTheyAre(t *testing.T) {
	t.Parallel()
	embedded(t, setup{public: public}, func(t *testing.T, w *world) {
		s := linked("0s", shop, "https://a.cn/?n={{nickname|x}}")
		none := with(step("1s", "no link"), j{"track_links": true})
		found, err := w.s.Campaigns.CheckDrip(t.Context(), w.account, definition(t, onWord("go"), s, none))
		require.NoError(t, err)
		var got []string
		for _, warning := range found.Warnings {
			got = append(got, warning.Path+" "+warning.Rule)
			require.NotEmpty(t, warning.Words.ZH)
		}
		require.Equal(t, []string{"steps[0].messages[0].text.content link_variable", "steps[1].track_links no_links"}, got)
		require.NotEmpty(t, found.Reaches)
	})
}

func TestATapIsNotCountedOnWhatAnotherProcessHasCounted(t *testing.T) {
	eachTracking(t, func(t *testing.T, w *world) {
		w.drip(onWord("go"), nil, linked("0s", shop))
		_, addresses := w.asked("go")
		target := w.target(addresses[0])
		other := w.process()
		errs := make(chan error, 8)
		for i := range cap(errs) {
			store := w.s.Links
			if i%2 == 1 {
				store = other.Links
			}
			go func() { errs <- store.Count(t.Context(), target, true) }()
		}
		for range cap(errs) {
			require.NoError(t, <-errs)
		}
		w.turn()
		require.EqualValues(t, 8, w.number("SELECT taps FROM link_clicks"))
		require.EqualValues(t, 8, w.number("SELECT taps FROM link_figures"))
		require.EqualValues(t, 1, w.number("SELECT people FROM link_figures"))
		require.EqualValues(t, 1, w.number("SELECT COUNT(*) FROM inbox WHERE origin = 'link'"))
		require.EqualValues(t, 1, w.number("SELECT n FROM delivery_figures WHERE figure = ?", deliveries.FigureClicked))
	})
}

func TestAStepBehindAWaitForAClickIsNotPromisedAGrantWhereLinksAreTracked(t *testing.T) {
	t.Parallel()
	embedded(t, setup{public: public}, func(t *testing.T, w *world) {
		wait := j{"kind": "wait_for", "for": j{"on": "clicked"}, "timeout": "1d", "then": []any{step("0s", "thanks")}}
		behind := func(first j) campaigns.Reachability {
			found, err := w.s.Campaigns.CheckDrip(t.Context(), w.account, definition(t, onFollow(), first, wait))
			require.NoError(t, err)
			require.Equal(t, 3, found.Reaches[1].Step)
			return found.Reaches[1].State
		}
		require.Equal(t, campaigns.Reachable, behind(step("0s", `<a href="`+shop+`">x</a>`)), "a tap on the menu opens a grant")
		require.Equal(t, campaigns.NeedsReply, behind(linked("0s", shop)), "a tap on a link does not")
	})
}
