package scheduler_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/database"
	"hongyan/internal/testdb"
	"hongyan/wechat/simulator"
)

// What follows is a small model of who enters which drip when, and how that ends. It knows nothing of sets, transactions, cursors or the ledger: it is told each act of each
// fan, and the passing of time, in order. Its messages are due at once, so that a step takes no time whatever becomes of it; time passes in waits.

// grid is the time between two moments that the model looks at, so that it sees when a fan falls silent or a window closes. Fans act at every third of them. Waits
// end beside it, so that nothing depends on the order within a moment.
const grid = 10 * time.Minute

// modelAct is something that happens to a fan.
type modelAct struct {
	kind  string // follow, leave, text, image, place, location, click, scan, event, tag, untag; silent and closing, which the model finds out itself
	word  string // text, scene, key, name of the event, or of the tag
	n     int    // hours or minutes
	scene string // of a follow by a code
}

// rule is a trigger, an exit or a wait of the model: a kind and what it asks for, "" for any.
type modelRule struct {
	kind, word string
	n          int
	json       j
}

func (r *modelRule) matches(a modelAct) bool {
	fits := func(word string) bool { return r.word == "" || r.word == word }
	switch r.kind {
	case "follow":
		return a.kind == "follow"
	case "scan":
		return a.scene != "" && fits(a.scene) || a.kind == "scan" && fits(a.word)
	case "scan_prefix":
		return strings.HasPrefix(a.scene, r.word) || a.kind == "scan" && strings.HasPrefix(a.word, r.word)
	case "menu":
		return a.kind == "click" && fits(a.word)
	case "keyword":
		return a.kind == "text" && a.word == r.word
	case "message":
		return a.kind == "text" || a.kind == "image" || a.kind == "place"
	case "location":
		return a.kind == "location" || a.kind == "place"
	case "tag", "event":
		return a.kind == r.kind && a.word == r.word
	default: // silent, closing
		return a.kind == r.kind && a.n == r.n
	}
}

type modelStep struct {
	wait    *modelRule // nil: a message
	timeout time.Duration
	exit    bool // the run ends when it happens
}

type modelDrip struct {
	triggers, exits []modelRule
	byCode          bool // fans who followed by a code only
	mode            string
	steps           []modelStep
}

type modelRun struct {
	fan, drip, occurrence int
	started               time.Duration
	step                  int
	waiting               bool
	timer                 time.Duration
	end                   string // "running" while it goes on
}

type modelFan struct {
	known, subscribed, byCode bool
	lastAct                   time.Duration
	windowEnd                 time.Duration // of messages; 0: none
	tags                      map[string]bool
}

type model struct {
	drips []modelDrip
	fans  []modelFan
	runs  []*modelRun
}

// act does what an act means, at a moment.
func (m *model) act(fan int, a modelAct, at time.Duration) {
	f := &m.fans[fan]
	own := false
	switch a.kind {
	case "follow":
		f.known, f.subscribed, f.byCode = true, true, a.scene != ""
	case "leave":
		f.subscribed, f.windowEnd = false, 0
	case "text", "image", "place":
		f.windowEnd = at + 47*time.Hour + 50*time.Minute
	case "tag":
		if f.tags[a.word] {
			return
		}
		f.tags[a.word], own = true, true
	case "untag":
		delete(f.tags, a.word)
		return
	case "event", "silent", "closing":
		own = true
	}
	if !own {
		f.lastAct = at
	}
	for _, r := range m.runs {
		if r.fan == fan && r.end == "running" {
			m.react(r, a, at)
		}
	}
	for i := range m.drips {
		d := &m.drips[i]
		if f.subscribed && (!d.byCode || f.byCode) && slices.ContainsFunc(d.triggers, func(t modelRule) bool { return t.matches(a) }) {
			m.enter(fan, i, at)
		}
	}
}

func (m *model) react(r *modelRun, a modelAct, at time.Duration) {
	d := &m.drips[r.drip]
	if a.kind == "leave" {
		r.end = "exited fan_gone"
		return
	}
	for i := range d.exits {
		if d.exits[i].matches(a) {
			r.end = fmt.Sprint("exited ", d.exits[i].json["on"])
			return
		}
	}
	if r.waiting && d.steps[r.step].wait.matches(a) {
		if d.steps[r.step].exit {
			r.end = "exited exit"
			return
		}
		m.goOn(r, r.step+1, at)
	}
}

func (m *model) enter(fan, drip int, at time.Duration) {
	var last *modelRun
	for _, r := range m.runs {
		if r.fan == fan && r.drip == drip {
			last = r
		}
	}
	occurrence := 1
	if last != nil {
		switch m.drips[drip].mode {
		case "once":
			return
		case "after":
			if last.end == "running" || at < last.started+24*time.Hour {
				return
			}
		}
		occurrence = last.occurrence + 1
	}
	r := &modelRun{fan: fan, drip: drip, occurrence: occurrence, started: at, end: "running"}
	m.runs = append(m.runs, r)
	m.goOn(r, 0, at)
}

// goOn takes a run from a step to the next wait, or to its end.
func (m *model) goOn(r *modelRun, step int, at time.Duration) {
	steps := m.drips[r.drip].steps
	for r.step = step; r.step < len(steps); r.step++ {
		if steps[r.step].wait != nil {
			r.waiting, r.timer = true, at+steps[r.step].timeout
			return
		}
	}
	r.waiting, r.end = false, "finished"
}

// pass lets the time pass up to a moment: waits end, and then fans fall silent.
func (m *model) pass(at time.Duration) {
	for {
		var next *modelRun
		for _, r := range m.runs {
			if r.end == "running" && r.waiting && r.timer <= at && (next == nil || r.timer < next.timer) {
				next = r
			}
		}
		if next == nil {
			break
		}
		m.goOn(next, next.step+1, next.timer)
	}
	for i := range m.fans {
		f := &m.fans[i]
		if !f.subscribed {
			continue
		}
		if f.windowEnd == at+time.Hour {
			m.act(i, modelAct{kind: "closing", n: 60}, at)
		}
		for _, hours := range []int{6, 24} {
			if f.lastAct+time.Duration(hours)*time.Hour == at {
				m.act(i, modelAct{kind: "silent", n: hours}, at)
			}
		}
	}
}

func (m *model) outcome() []string {
	var out []string
	for _, r := range m.runs {
		out = append(out, fmt.Sprintf("fan %d drip %d.%d from %s %s", r.fan, r.drip, r.occurrence, r.started, r.end))
	}
	slices.Sort(out)
	return out
}

// Words that acts and rules have in common.
var (
	modelWords  = []string{"go", "stop", "hi", "help"}
	modelScenes = []string{"shop1", "shop2", "street"}
	modelKeys   = []string{"a", "b"}
	modelNames  = []string{"visit", "payment", "order"}
	modelTags   = []string{"A", "B"}
)

// chance draws what happens in a week.
type chance struct {
	*rand.Rand
	tags map[string]int64
}

func pick[T any](c *chance, of []T) T { return of[c.IntN(len(of))] }

func (c *chance) trigger() modelRule {
	switch c.IntN(13) {
	case 0:
		return modelRule{kind: "follow", json: j{"kind": "follow"}}
	case 1:
		return modelRule{kind: "scan", json: j{"kind": "scan"}}
	case 2:
		w := pick(c, modelScenes)
		return modelRule{kind: "scan", word: w, json: j{"kind": "scan", "scene": w}}
	case 3:
		return modelRule{kind: "scan_prefix", word: "shop", json: j{"kind": "scan", "scene_prefix": "shop"}}
	case 4:
		w := pick(c, modelKeys)
		return modelRule{kind: "menu", word: w, json: j{"kind": "menu", "key": w}}
	case 5, 6:
		w := pick(c, modelWords)
		return modelRule{kind: "keyword", word: w, json: j{"kind": "keyword", "keywords": []string{w}}}
	case 7:
		return modelRule{kind: "message", json: j{"kind": "message"}}
	case 8:
		return modelRule{kind: "location", json: j{"kind": "location"}}
	case 9:
		w := pick(c, modelTags)
		return modelRule{kind: "tag", word: w, json: j{"kind": "tag", "tag": c.tags[w]}}
	case 10:
		w := pick(c, modelNames)
		if w == "payment" {
			return modelRule{kind: "event", word: w, json: j{"kind": "payment"}}
		}
		return modelRule{kind: "event", word: w, json: j{"kind": "event", "event": w}}
	case 11:
		n := pick(c, []int{6, 24})
		return modelRule{kind: "silent", n: n, json: j{"kind": "silent", "hours": n}}
	default:
		return modelRule{kind: "closing", n: 60, json: j{"kind": "closing", "minutes": 60}}
	}
}

// awaited is an exit or what a wait is for.
func (c *chance) awaited(wait bool) modelRule {
	event := "goal"
	if wait {
		event = "event"
	}
	switch c.IntN(6) {
	case 0:
		return modelRule{kind: "message", json: j{"on": "replied"}}
	case 1:
		w := pick(c, modelWords)
		return modelRule{kind: "keyword", word: w, json: j{"on": "replied", "keywords": []string{w}}}
	case 2:
		return modelRule{kind: "menu", json: j{"on": "clicked"}}
	case 3:
		w := pick(c, modelKeys)
		return modelRule{kind: "menu", word: w, json: j{"on": "clicked", "key": w}}
	case 4:
		w := pick(c, modelTags)
		return modelRule{kind: "tag", word: w, json: j{"on": "tagged", "tag": c.tags[w]}}
	default:
		w := pick(c, modelNames)
		return modelRule{kind: "event", word: w, json: j{"on": event, "event": w}}
	}
}

// drip is a drip of the model, and its definition.
func (c *chance) drip(i int) (modelDrip, []any, j, []j) {
	d := modelDrip{mode: pick(c, []string{"once", "after", "always"}), byCode: c.IntN(5) == 0}
	more := j{"re_entry": j{"mode": d.mode}}
	if d.mode == "after" {
		more["re_entry"] = j{"mode": "after", "days": 1}
	}
	if d.byCode {
		more["sources"] = []string{"ADD_SCENE_QR_CODE"}
	}
	var triggers, exits []any
	for range 1 + c.IntN(2) {
		t := c.trigger()
		d.triggers, triggers = append(d.triggers, t), append(triggers, t.json)
	}
	for range c.IntN(3) {
		e := c.awaited(false)
		d.exits, exits = append(d.exits, e), append(exits, e.json)
	}
	if exits != nil {
		more["exits"] = exits
	}
	var steps []j
	for n := 1 + c.IntN(4); len(steps) < n; {
		if c.IntN(2) == 0 {
			d.steps, steps = append(d.steps, modelStep{}), append(steps, step("0s", fmt.Sprint("drip ", i, " step ", len(steps))))
			continue
		}
		s := modelStep{timeout: time.Duration(1+c.IntN(20))*time.Hour + 7*time.Second, exit: c.IntN(4) == 0}
		rule := c.awaited(true)
		s.wait = &rule
		written := j{"kind": "wait_for", "for": rule.json, "timeout": fmt.Sprintf("%ds", int(s.timeout.Seconds()))}
		if s.exit {
			written["then"] = []any{j{"kind": "exit"}}
		}
		d.steps, steps = append(d.steps, s), append(steps, written)
	}
	return d, triggers, more, steps
}

// act is what a fan does next.
func (c *chance) act(f *modelFan) modelAct {
	if !f.subscribed {
		if f.known && c.IntN(3) == 0 {
			return modelAct{kind: "event", word: pick(c, modelNames)} // a program may report events of those who left
		}
		a := modelAct{kind: "follow"}
		if c.IntN(2) == 0 {
			a.scene = pick(c, modelScenes)
		}
		return a
	}
	switch c.IntN(16) {
	case 0:
		return modelAct{kind: "leave"}
	case 1, 2, 3, 4, 5:
		return modelAct{kind: "text", word: pick(c, modelWords)}
	case 6:
		return modelAct{kind: "image"}
	case 7:
		return modelAct{kind: "place"}
	case 8:
		return modelAct{kind: "location"}
	case 9, 10:
		return modelAct{kind: "click", word: pick(c, modelKeys)}
	case 11:
		return modelAct{kind: "scan", word: pick(c, modelScenes)}
	case 12:
		return modelAct{kind: "tag", word: pick(c, modelTags)}
	case 13:
		return modelAct{kind: "untag", word: pick(c, modelTags)}
	default:
		return modelAct{kind: "event", word: pick(c, modelNames)}
	}
}

// do makes an act of the model happen.
func (w *world) do(openid string, a modelAct, tags map[string]int64) {
	w.t.Helper()
	switch a.kind {
	case "tag", "untag":
		w.tag(openid, tags[a.word], a.kind == "untag")
	case "event":
		w.happen(openid, a.word)
	default:
		kinds := map[string]simulator.ActKind{
			"follow": simulator.ActFollow, "leave": simulator.ActUnfollow, "text": simulator.ActText, "image": simulator.ActImage, "place": simulator.ActPlace,
			"location": simulator.ActLocation, "click": simulator.ActClick, "scan": simulator.ActScan,
		}
		act := simulator.Act{Kind: kinds[a.kind], Text: a.word, Key: a.word, Scene: a.scene}
		if a.kind == "scan" {
			act.Scene = a.word
		}
		w.act(openid, act)
	}
}

func TestAWeekOfRandomDripsIsThatOfTheModel(t *testing.T) {
	t.Parallel()
	for seed := range testdb.Seeds(t, 2) {
		t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) {
			t.Parallel()
			open := testdb.SQLite
			if seed == 0 {
				open = testdb.MySQL
			}
			compareWeek(t, open(t), seed)
		})
	}
}

func compareWeek(t *testing.T, db *database.DB, seed uint64) {
	t.Helper()
	w := newWorld(t, db, setup{})
	c := &chance{rand.New(rand.NewPCG(seed, 1)), map[string]int64{}}
	for _, name := range modelTags {
		c.tags[name] = w.newTag(name)
	}
	m := &model{}
	number := map[int64]int{}
	for i := range 14 {
		d, triggers, more, steps := c.drip(i)
		m.drips = append(m.drips, d)
		number[w.drip(triggers, more, steps...).ID] = i
	}
	openids, err := w.sim.AddFans(appID, 12, false)
	require.NoError(t, err)
	for range openids {
		m.fans = append(m.fans, modelFan{tags: map[string]bool{}})
	}
	for at := grid; at <= 7*24*time.Hour; at += grid {
		m.pass(at)
		if at%(3*grid) != 0 {
			continue
		}
		w.until(start.Add(at))
		for i := range m.fans {
			if c.IntN(10) != 0 { // five acts a day
				continue
			}
			a := c.act(&m.fans[i])
			w.do(openids[i], a, c.tags)
			m.act(i, a, at)
		}
	}
	require.Equal(t, m.outcome(), w.outcome(openids, number), "seed %d", seed)
	m.varied(t)
	w.agreed()
}

// outcome is what became of the runs, as the model tells it.
func (w *world) outcome(openids []string, number map[int64]int) []string {
	w.t.Helper()
	fan := map[string]int{}
	for i, openid := range openids {
		fan[openid] = i
	}
	var rows []struct {
		Openid                            string
		CampaignID, Occurrence, StartedAt int64
		State, ExitReason                 string
	}
	require.NoError(w.t, w.db.Read(w.t.Context()).
		Raw("SELECT f.openid, e.campaign_id, e.occurrence, e.started_at, e.state, e.exit_reason FROM enrolments e JOIN fans f ON f.id = e.fan_id").Scan(&rows).Error)
	var out []string
	for _, r := range rows {
		end := strings.TrimSpace(r.State + " " + r.ExitReason)
		out = append(out, fmt.Sprintf("fan %d drip %d.%d from %s %s", fan[r.Openid], number[r.CampaignID], r.Occurrence, time.UnixMilli(r.StartedAt).Sub(start), end))
	}
	slices.Sort(out)
	return out
}

// varied checks that the week was worth comparing.
func (m *model) varied(t *testing.T) {
	t.Helper()
	ends, drips := map[string]int{}, map[int]int{}
	for _, r := range m.runs {
		ends[r.end]++
		drips[r.drip]++
	}
	require.Greater(t, len(m.runs), 80)
	require.GreaterOrEqual(t, len(ends), 5, "%v", ends)
	require.GreaterOrEqual(t, len(drips), 8, "%v", drips)
}
