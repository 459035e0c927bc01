package wechat

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// weComAnswer has one message of each kind that matters, in the shape of the platform's page.
const weComAnswer = `{"errcode":0,"errmsg":"ok","next_cursor":"4gw7MepFLfgF2VC5npN","has_more":1,"msg_list":[
	{"msgid":"m1","open_kfid":"wkAJ","external_userid":"wmAJ","send_time":1615478585,"origin":3,"msgtype":"text","text":{"content":"hello world","menu_id":"101"}},
	{"msgid":"m2","send_time":1615478586,"origin":4,"msgtype":"event","event":{"event_type":"enter_session","open_kfid":"wkAJ","external_userid":"wmAJ","scene":"123","scene_param":"abc","welcome_code":"aaaaaa"}},
	{"msgid":"m3","send_time":1615478587,"origin":4,"msgtype":"event","event":{"event_type":"msg_send_fail","open_kfid":"wkAJ","external_userid":"wmAJ","fail_msgid":"ours7","fail_type":6}},
	{"msgid":"m4","send_time":1615478588,"origin":4,"msgtype":"event","event":{"event_type":"session_status_change","open_kfid":"wkAJ","external_userid":"wmAJ","change_type":1,"new_servicer_userid":"zhangsan","msg_code":"bbbbbb"}},
	{"msgid":"m5","open_kfid":"wkAJ","external_userid":"wmAJ","send_time":1615478589,"origin":5,"servicer_userid":"zhangsan","msgtype":"image","image":{"media_id":"x"}},
	{"msgid":"m6","send_time":1615478590,"origin":4,"msgtype":"event","event":{"event_type":"of_tomorrow","external_userid":"wmAJ"}}]}`

func TestAPageOfWeComTellsWhoDidWhatAndWhatItGrants(t *testing.T) {
	t.Parallel()
	page, err := ParseWeComPage([]byte(weComAnswer))
	require.NoError(t, err)
	require.Equal(t, "4gw7MepFLfgF2VC5npN", page.Cursor)
	require.True(t, page.More)
	require.Len(t, page.Messages, 6)
	for i, want := range []struct {
		act  ChatAct
		code string
		ok   bool
	}{{ChatWrote, "", true}, {ChatEntered, "aaaaaa", true}, {0, "", false}, {ChatTaken, "bbbbbb", true}, {0, "", false}, {0, "", false}} {
		m := page.Messages[i]
		act, code, ok := m.Act()
		require.Equal(t, want.act, act, m.ID)
		require.Equal(t, want.code, code, m.ID)
		require.Equal(t, want.ok, ok, m.ID)
		require.Equal(t, "wmAJ", m.Person, "an event names its person inside")
		require.Equal(t, time.Unix(1615478585+int64(i), 0), m.At)
	}
	require.Equal(t, "hello world", page.Messages[0].Text)
	require.Equal(t, "123", page.Messages[1].Event.Scene)
	failed := page.Messages[2].Event
	require.Equal(t, "ours7", failed.FailedID)
	require.True(t, failed.Failure.UsedUp())
	require.Equal(t, "zhangsan", page.Messages[3].Agent)
	require.JSONEq(t, `{"msgid":"m6","send_time":1615478590,"origin":4,"msgtype":"event","event":{"event_type":"of_tomorrow","external_userid":"wmAJ"}}`,
		string(page.Messages[5].Raw), "what is not known is kept as it came")
}

func TestAnEventWithoutACodeGrantsNothing(t *testing.T) {
	t.Parallel()
	m := WeComMessage{Origin: WeComFromSystem, Kind: "event", Event: &WeComEvent{Name: "enter_session"}}
	_, _, ok := m.Act()
	require.False(t, ok, "no welcome may be sent: there was one in the last 48 hours, or WeCom sends its own")
	m.Event = &WeComEvent{Name: "session_status_change", Change: WeComChangeHanded, Code: "c"}
	_, _, ok = m.Act()
	require.False(t, ok)
}

func TestTheCursorOfWeComGoesOnByHasMoreAndNeverInACircle(t *testing.T) {
	t.Parallel()
	empty := WeComPage{Cursor: "b", More: true}
	cursor, more, err := empty.Next("a")
	require.NoError(t, err)
	require.True(t, more, "an empty page need not be the last")
	require.Equal(t, "b", cursor)
	last := WeComPage{Cursor: "", More: false}
	cursor, more, err = last.Next("b")
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, "b", cursor, "the place is kept")
	stuck := WeComPage{Cursor: "b", More: true}
	_, _, err = stuck.Next("b")
	require.ErrorIs(t, err, ErrCursorStuck)
}

func TestReadingOnFromAStoredCursorMissesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 3), 1, 8).Draw(t, "pages")
		dies := rapid.SliceOfN(rapid.Bool(), len(sizes), len(sizes)).Draw(t, "dies before it stores")
		at := func(cursor string) int { return len(cursor) } // the cursor is as long as the number of pages before it
		stored, seen := "", []int{}
		for more := true; more; {
			i := at(stored)
			page := WeComPage{Cursor: stored + "x", More: i < len(sizes)-1}
			if dies[i] { // between reading the page and storing what it held together with the cursor
				dies[i] = false
				continue
			}
			var err error
			stored, more, err = page.Next(stored)
			require.NoError(t, err)
			seen = append(seen, i)
		}
		require.Len(t, seen, len(sizes))
		for i, page := range seen {
			require.Equal(t, i, page)
		}
	})
}

func TestAnAnswerOfWeComThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	for body, what := range map[string]string{
		`{"errcode":95018,"errmsg":"send msg session status invalid"}`: "95018",
		`<xml/>`: "sync_msg",
		`{"errcode":0,"msg_list":[{"origin":3,"send_time":1}]}`:       "msg_list[0]",
		`{"errcode":0,"msg_list":[{"msgid":"a"}]}`:                    "send_time",
		`{"errcode":0,"msg_list":[{"msgid":"a","send_time":"soon"}]}`: "send_time",
	} {
		_, err := ParseWeComPage([]byte(body))
		require.ErrorContains(t, err, what, body)
	}
}

func FuzzParseWeComPage(f *testing.F) {
	f.Add([]byte(weComAnswer))
	f.Add([]byte(`{"errcode":40001}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		page, err := ParseWeComPage(body)
		if err != nil {
			return
		}
		for i := range page.Messages {
			m := &page.Messages[i]
			require.NotEmpty(t, m.ID)
			require.True(t, json.Valid(m.Raw))
			if act, code, ok := m.Act(); ok && act != ChatWrote {
				require.NotEmpty(t, code, "only a code grants a message to somebody who has not written")
			}
		}
	})
}
