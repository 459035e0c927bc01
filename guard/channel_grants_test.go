package guard_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/guard"
	"hongyan/wechat"
)

func chatGrant(t require.TestingT, channel wechat.ChatChannel, act wechat.ChatAct) wechat.ChatGrant {
	rules := wechat.ChatRulesAt(channel, time.UnixMilli(start))
	grant, ok := rules.Grant(act)
	require.True(t, ok)
	return grant
}

func TestWhatActsInAMiniProgramGrant(t *testing.T) {
	t.Parallel()
	wrote := chatGrant(t, wechat.ChatMiniProgram, wechat.ChatWrote)
	entered := chatGrant(t, wechat.ChatMiniProgram, wechat.ChatEntered)
	for _, c := range []struct {
		name string
		run  func(*guard.Grants) int
		want int
	}{
		{"nothing without an act", func(g *guard.Grants) int { return spend(g, start) }, 0},
		{"entering", func(g *guard.Grants) int { g.OpenChat(entered, start, 0); return spend(g, start) }, 2},
		{"49.999 s after entering", func(g *guard.Grants) int { g.OpenChat(entered, start, 0); return spend(g, start+50*second-1) }, 2},
		{"50 s after entering", func(g *guard.Grants) int { g.OpenChat(entered, start, 0); return spend(g, start+50*second) }, 0},
		{"writing", func(g *guard.Grants) int { g.OpenChat(wrote, start, 0); return spend(g, start+47*hour) }, 5},
		{"entering and writing are the larger, not the sum", func(g *guard.Grants) int {
			g.OpenChat(entered, start, 0)
			g.OpenChat(wrote, start, 0)
			return spend(g, start)
		}, 5},
		{"entering raises to two what is less", func(g *guard.Grants) int {
			g.OpenChat(wrote, start, 0)
			g.Take(start, 4)
			g.OpenChat(entered, start+second, 0)
			return spend(g, start+second)
		}, 2},
		{"entering lowers nothing", func(g *guard.Grants) int {
			g.OpenChat(wrote, start, 0)
			g.OpenChat(entered, start+second, 0)
			return spend(g, start+2*minute)
		}, 5},
	} {
		var g guard.Grants
		require.Equal(t, c.want, c.run(&g), c.name)
	}
}

func TestACodeIsGoodForOneMessageInItsTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		act   wechat.ChatAct
		until int64 // that we rely on
	}{
		{wechat.ChatEntered, 10 * second}, {wechat.ChatEnded, 10 * second},
		{wechat.ChatQueued, 48*hour - 10*minute}, {wechat.ChatTaken, 48*hour - 10*minute},
	} {
		code := guard.CodeGrant(chatGrant(t, wechat.ChatWeCom, c.act), start)
		require.Equal(t, 1, code.Available(start, 0))
		require.Equal(t, 1, code.Available(start+c.until-1, 0))
		require.Zero(t, code.Available(start+c.until, 0))
		guard.TakeByCode(&code, &guard.Grants{}, start)
		require.Zero(t, code.Available(start, 0))
	}
}

func TestACodeAndAPersonsGrantsDoNotOpenEachOther(t *testing.T) {
	t.Parallel()
	var person guard.Grants
	require.False(t, person.OpenChat(chatGrant(t, wechat.ChatWeCom, wechat.ChatEntered), start, 0))
	require.Zero(t, person.Available(start, 0), "a welcome's code allows no other message")
	require.Equal(t, guard.Grants{}, guard.CodeGrant(chatGrant(t, wechat.ChatWeCom, wechat.ChatWrote), start))
}

func TestAMessageByCodeMayHaveBeenChargedToThePersonToo(t *testing.T) {
	t.Parallel()
	var person guard.Grants
	person.OpenChat(chatGrant(t, wechat.ChatWeCom, wechat.ChatWrote), start, 0)
	code := guard.CodeGrant(chatGrant(t, wechat.ChatWeCom, wechat.ChatQueued), start)
	guard.TakeByCode(&code, &person, start)
	require.Equal(t, 4, person.Available(start, 0))
	person.Take(start, 4)
	code = guard.CodeGrant(chatGrant(t, wechat.ChatWeCom, wechat.ChatTaken), start)
	require.True(t, guard.CodeAllows(&code, &person, start, 0), "it needs none of the five")
	require.False(t, guard.CodeAllows(&code, &person, start, 1), "it could take the fifth from under its send")
	person = guard.Grants{}
	person.OpenChat(chatGrant(t, wechat.ChatWeCom, wechat.ChatWrote), start, 0)
	require.True(t, guard.CodeAllows(&code, &person, start, 4), "there is one more")
	code.Take(start, 1)
	require.False(t, guard.CodeAllows(&code, &person, start, 0), "the code is used")
}

// chatReading is a reading of a chat channel's rules.
type chatReading interface {
	reading
	open(grant wechat.ChatGrant, at int64)
}

type chatMaximum struct{ maximum }

func (m *chatMaximum) open(grant wechat.ChatGrant, at int64) {
	if at >= m.until {
		m.left = 0
	}
	m.left = max(m.left, grant.Messages)
	m.until = max(m.until, at+grant.Lifetime.Milliseconds())
}

type chatSeparate struct{ separate }

func (s *chatSeparate) open(grant wechat.ChatGrant, at int64) {
	s.buckets[grant.Bucket] = maximum{grant.Messages, at + grant.Lifetime.Milliseconds()}
}

// chatCodes are the codes of events beside a reading. charges makes a message by code use one of the person's five.
type chatCodes struct {
	chatReading
	charges bool
	codes   []*maximum
}

func (c *chatCodes) sendByCode(code int, at int64) int {
	if refused := c.codes[code].send(at); refused != sentOK {
		return refused
	}
	if c.charges {
		c.send(at) // or nothing, when there is nothing to charge
	}
	return sentOK
}

// chatWorld is a world in which the acts are those of a chat channel.
type chatWorld struct {
	world
	chat  *chatCodes
	codes []*guard.Grants // by number; nil until the push arrives
}

func (w *chatWorld) act(grant wechat.ChatGrant, lag int64) {
	created := (w.now + w.skew) / second * second
	if grant.Combination != wechat.CombineByCode {
		w.chat.open(grant, created)
		w.at(w.now+lag, func() { w.grants.OpenChat(grant, created, w.uncounted(created)) })
		return
	}
	code := len(w.codes)
	w.chat.codes = append(w.chat.codes, &maximum{grant.Messages, created + grant.Lifetime.Milliseconds()})
	w.codes = append(w.codes, nil)
	w.at(w.now+lag, func() {
		opened := guard.CodeGrant(grant, created)
		w.codes[code] = &opened
	})
}

func (w *chatWorld) onWire() (n int) {
	for _, s := range w.sends {
		if s.endedAt == 0 {
			n++
		}
	}
	return n
}

// sendByCode uses a code that is good for a message, if there is one.
func (w *chatWorld) sendByCode(t *rapid.T) {
	for code, own := range w.codes {
		if own == nil || !guard.CodeAllows(own, &w.grants, w.now, w.onWire()) {
			continue
		}
		f := drawFate(t)
		s := &wire{taken: w.grants.TakenBy(w.now), generation: w.grants.Generation}
		taken, generation := own.TakenBy(w.now), own.Generation
		guard.TakeByCode(own, &w.grants, w.now)
		w.sends = append(w.sends, s)
		w.at(w.now+f.arrives, func() {
			if !f.fails {
				if refused := w.chat.sendByCode(code, w.now+w.skew); refused != sentOK {
					w.refused = append(w.refused, refused)
				}
				w.accepted++
			}
			w.at(w.now+f.answers, func() {
				s.endedAt = w.now
				if f.fails && !f.lost {
					s.failed = true
					w.grants.Release(s.taken, s.generation)
					own.Release(taken, generation)
				}
			})
		})
		return
	}
}

func (w *chatWorld) live(t *rapid.T, rules wechat.ChatRuleSet) {
	w.skew = rapid.Int64Range(-maxSkew, maxSkew).Draw(t, "skew")
	w.now = start
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		w.advance(w.now + rapid.OneOf(
			rapid.SampledFrom([]int64{0, 0, 1, 100, 999, 1_000}),
			rapid.Int64Range(0, 5_000), rapid.Int64Range(0, 70_000), rapid.Int64Range(40*hour, 49*hour),
		).Draw(t, "pause"))
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0:
			grant := rapid.SampledFrom(rules.Grants).Draw(t, "grant")
			w.act(grant, rapid.SampledFrom([]int64{0, 1, 300, 2_000, 5_000, maxLag}).Draw(t, "lag"))
		case 1:
			w.sendByCode(t)
		default:
			n := rapid.IntRange(1, 3).Draw(t, "messages")
			if w.grants.Available(w.now, 0) < n {
				continue
			}
			for range n {
				w.send(drawFate(t))
			}
			w.grants.Take(w.now, n)
		}
	}
	w.advance(w.now + minute)
}

func TestPropertyNoChatChannelRefusesWhatTheGrantsAllow(t *testing.T) {
	t.Parallel()
	readings := map[string]func() chatReading{
		"maximum":                        func() chatReading { return &chatMaximum{} },
		"separate, soonest ending first": func() chatReading { return &chatSeparate{} },
		"separate, latest ending first":  func() chatReading { return &chatSeparate{separate{latest: true}} },
	}
	for _, channel := range []wechat.ChatChannel{wechat.ChatMiniProgram, wechat.ChatWeCom} {
		for _, rules := range wechat.ChatRuleSets(channel) {
			for name, platform := range readings {
				for _, charges := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s, %s, codes charged %v", rules.Name, name, charges), func(t *testing.T) {
						t.Parallel()
						accepted, worlds := 0, 0
						rapid.Check(t, func(t *rapid.T) {
							chat := &chatCodes{chatReading: platform(), charges: charges}
							w := &chatWorld{world: world{platform: chat}, chat: chat}
							w.live(t, rules)
							require.Empty(t, w.refused)
							accepted, worlds = accepted+w.accepted, worlds+1
						})
						require.Greater(t, 2*accepted, worlds, "the client hardly sends anything")
					})
				}
			}
		}
	}
}

func TestNoChatGrantIsWastedWhenNothingOverlaps(t *testing.T) {
	t.Parallel()
	w := &chatWorld{world: world{now: start}, chat: &chatCodes{chatReading: &chatMaximum{}}}
	w.platform = w.chat
	for _, c := range []struct {
		act  wechat.ChatAct
		want int
	}{{wechat.ChatEntered, 2}, {wechat.ChatWrote, 5}, {wechat.ChatWrote, 5}} {
		w.act(chatGrant(t, wechat.ChatMiniProgram, c.act), 0)
		w.advance(w.now)
		for range c.want {
			require.Positive(t, w.grants.Available(w.now, 0))
			w.send(fate{arrives: 10, answers: 10})
			w.grants.Take(w.now, 1)
			w.advance(w.now + 100)
		}
		require.LessOrEqual(t, w.grants.Available(w.now, 0), 0)
		w.advance(w.now + minute)
	}
	require.Equal(t, 12, w.accepted)
	require.Empty(t, w.refused)
}
