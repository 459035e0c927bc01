package wechat_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func (w *fansWorld) tag(name string) wechat.Tag {
	w.t.Helper()
	out, err := w.client.CreateTag(w.t.Context(), w.acc, name)
	require.NoError(w.t, err)
	return out
}

func (w *fansWorld) tagged(fan string) []int {
	w.t.Helper()
	out, err := w.client.TagsOf(w.t.Context(), w.acc, fan)
	require.NoError(w.t, err)
	return out
}

func TestATagIsMadeListedRenamedAndDeleted(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	tag := w.tag("广东")
	require.Equal(t, wechat.Tag{ID: 100, Name: "广东"}, tag)
	require.Equal(t, []string{`{"tag":{"name":"广东"}}`}, w.bodies(simulator.PathTagsCreate))
	_, body := w.raw("POST", simulator.PathTagsCreate, `{"tag":{"name":"广西"}}`)
	require.JSONEq(t, `{"tag":{"id":101,"name":"广西"}}`, body)
	_, body = w.raw("GET", simulator.PathTagsGet, "")
	require.JSONEq(t, `{"tags":[{"id":2,"name":"星标组","count":0},{"id":100,"name":"广东","count":0},{"id":101,"name":"广西","count":0}]}`, body)

	require.NoError(t, w.client.RenameTag(t.Context(), w.acc, tag.ID, "广东人"))
	require.NoError(t, w.client.RenameTag(t.Context(), w.acc, tag.ID, "广东人"), "its own name is free")
	renamed := `{"tag":{"id":100,"name":"广东人"}}`
	require.Equal(t, []string{renamed, renamed}, w.bodies(simulator.PathTagsUpdate))
	fan := w.fans(1)[0]
	_, err := w.client.AddTag(t.Context(), w.acc, tag.ID, []string{fan})
	require.NoError(t, err)
	require.NoError(t, w.client.DeleteTag(t.Context(), w.acc, tag.ID))
	require.Equal(t, []string{`{"tag":{"id":100}}`}, w.bodies(simulator.PathTagsDelete))
	require.Empty(t, w.tagged(fan), "a tag goes from its fans")
	tags, err := w.client.Tags(t.Context(), w.acc)
	require.NoError(t, err)
	require.Equal(t, []wechat.Tag{{ID: 2, Name: "星标组"}, {ID: 101, Name: "广西"}}, tags)
	require.Equal(t, 102, w.tag("广东").ID, "an id is never given twice")

	for _, err := range []error{
		w.client.DeleteTag(t.Context(), w.acc, tag.ID), w.client.RenameTag(t.Context(), w.acc, tag.ID, "x"),
	} {
		requireCode(t, 45159, err)
	}
}

func TestATagMayHave30CharactersAndNotMore(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	name := func(n int) string { return strings.Repeat("鸿", n) }
	tag := w.tag(name(30))
	_, err := w.client.CreateTag(t.Context(), w.acc, name(31))
	requireBadField(t, "name", "tag_name_length", err)
	_, err = w.client.CreateTag(t.Context(), w.acc, "")
	requireBadField(t, "name", "required", err)
	requireBadField(t, "name", "tag_name_length", w.client.RenameTag(t.Context(), w.acc, tag.ID, name(31)))
	require.Len(t, w.bodies(simulator.PathTagsCreate), 1, "refused before the call")
	for _, c := range []struct {
		path, body string
		want       int
	}{
		{simulator.PathTagsCreate, `{"tag":{"name":"` + name(31) + `"}}`, 45158},
		{simulator.PathTagsUpdate, `{"tag":{"id":100,"name":"` + name(31) + `"}}`, 45158},
		{simulator.PathTagsCreate, `{"tag":{"name":""}}`, 45157},
		{simulator.PathTagsCreate, `{"tag":{"name":"` + name(30) + `"}}`, 45157},
	} {
		code, _ := w.raw("POST", c.path, c.body)
		require.Equal(t, c.want, code, c.body)
	}
	require.NoError(t, w.sim.SetSwitches(simulator.Switches{NamesInBytes: true}))
	w.tag(name(10))
	_, err = w.client.CreateTag(t.Context(), w.acc, name(11))
	requireCode(t, 45158, err)
}

func TestTwoTagsCannotHaveOneName(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	w.tag("a")
	b := w.tag("b")
	for _, name := range []string{"a", "b", "星标组"} {
		_, err := w.client.CreateTag(t.Context(), w.acc, name)
		requireCode(t, 45157, err)
	}
	requireCode(t, 45157, w.client.RenameTag(t.Context(), w.acc, b.ID, "a"))
}

func TestAnAccountMayHave100Tags(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	for i := range 100 {
		w.tag(fmt.Sprint("tag ", i))
	}
	_, err := w.client.CreateTag(t.Context(), w.acc, "one more")
	requireCode(t, 45056, err)
	require.Equal(t, wechat.ClassStopFeature, wechat.Classify(err))
	require.NoError(t, w.client.DeleteTag(t.Context(), w.acc, 150))
	w.tag("one more")
}

func TestTheSystemsTagsCannotBeChanged(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	for id := range 3 {
		requireBadField(t, "id", "system_tag", w.client.DeleteTag(t.Context(), w.acc, id))
		requireBadField(t, "id", "system_tag", w.client.RenameTag(t.Context(), w.acc, id, "x"))
		code, _ := w.raw("POST", simulator.PathTagsDelete, fmt.Sprintf(`{"tag":{"id":%d}}`, id))
		require.Equal(t, 45058, code)
		code, _ = w.raw("POST", simulator.PathTagsUpdate, fmt.Sprintf(`{"tag":{"id":%d,"name":"x"}}`, id))
		require.Equal(t, 45058, code)
	}
	for _, id := range []int{-1, 0, 1} {
		_, err := w.client.AddTag(t.Context(), w.acc, id, []string{"o1"})
		requireBadField(t, "id", "tag_id", err)
		_, err = w.client.FansWithTag(t.Context(), w.acc, id, "")
		requireBadField(t, "id", "tag_id", err)
		code, _ := w.raw("POST", simulator.PathBatchTagging, fmt.Sprintf(`{"openid_list":["o1"],"tagid":%d}`, id))
		require.Equal(t, 45159, code)
	}
	fan := w.fans(1)
	_, err := w.client.AddTag(t.Context(), w.acc, wechat.TagStarred, fan)
	require.NoError(t, err)
	require.Equal(t, []int{wechat.TagStarred}, w.tagged(fan[0]))
}

func TestATagOfMoreThan100000FansCannotBeDeleted(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	tag := w.tag("all")
	fans := w.fans(100_001)
	for _, fan := range fans {
		require.NoError(t, w.sim.TagFan(fan, tag.ID))
	}
	requireCode(t, 45057, w.client.DeleteTag(t.Context(), w.acc, tag.ID))
	got, pages := list(t, func(after string) (wechat.FanPage, error) {
		return w.client.FansWithTag(t.Context(), w.acc, tag.ID, after)
	})
	require.Equal(t, 12, pages, "the last is empty")
	require.Equal(t, fans, got)
	done, err := w.client.RemoveTag(t.Context(), w.acc, tag.ID, fans[:1])
	require.NoError(t, err)
	require.Equal(t, 1, done.Done)
	require.NoError(t, w.client.DeleteTag(t.Context(), w.acc, tag.ID))
	require.Empty(t, w.tagged(fans[100_000]))
}

func TestFansAreTaggedByTheFifty(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	tag, fans := w.tag("广东"), w.fans(51)
	done, err := w.client.AddTag(t.Context(), w.acc, tag.ID, fans)
	require.NoError(t, err)
	require.Equal(t, wechat.Batched{Done: 51}, done)
	bodies := w.bodies(simulator.PathBatchTagging)
	require.Equal(t, []string{
		`{"openid_list":["` + strings.Join(fans[:50], `","`) + `"],"tagid":100}`, `{"openid_list":["` + fans[50] + `"],"tagid":100}`,
	}, bodies)
	done, err = w.client.AddTag(t.Context(), w.acc, tag.ID, fans)
	require.NoError(t, err, "to repeat it does no harm")
	require.Equal(t, 51, done.Done)
	_, body := w.raw("POST", simulator.PathTagsOfFan, `{"openid":"`+fans[0]+`"}`)
	require.JSONEq(t, `{"tagid_list":[100]}`, body)

	done, err = w.client.RemoveTag(t.Context(), w.acc, tag.ID, fans[1:])
	require.NoError(t, err)
	require.Equal(t, 50, done.Done)
	require.Len(t, w.bodies(simulator.PathBatchUntagging), 1)
	_, body = w.raw("POST", simulator.PathTagFans, `{"tagid":100,"next_openid":""}`)
	require.JSONEq(t, `{"count":1,"data":{"openid":["`+fans[0]+`"]},"next_openid":"`+fans[0]+`"}`, body)
	_, body = w.raw("POST", simulator.PathTagFans, `{"tagid":2}`)
	require.JSONEq(t, `{"count":0,"next_openid":""}`, body)

	for n, want := range map[int]int{0: 40032, 50: 0, 51: 40032} {
		for _, path := range []string{simulator.PathBatchTagging, simulator.PathBatchUntagging} {
			quoted := strings.TrimSuffix(strings.Repeat(`"`+fans[0]+`",`, n), ",")
			code, _ := w.raw("POST", path, `{"openid_list":[`+quoted+`],"tagid":100}`)
			require.Equal(t, want, code, "%d fans", n)
		}
	}
}

func TestAFanMayHave20Tags(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	fans := w.fans(3)
	for i := range 20 {
		_, err := w.client.AddTag(t.Context(), w.acc, w.tag(strconv.Itoa(i)).ID, fans[:1])
		require.NoError(t, err)
	}
	more := w.tag("one more")
	done, err := w.client.AddTag(t.Context(), w.acc, more.ID, fans)
	require.NoError(t, err)
	require.Equal(t, 3, done.Done)
	require.Len(t, done.Refused, 1)
	require.Equal(t, fans[0], done.Refused[0].OpenID)
	requireCode(t, 45059, done.Refused[0].Err)
	require.Equal(t, []int{more.ID}, w.tagged(fans[2]))
	_, err = w.client.AddTag(t.Context(), w.acc, 100, fans[:1])
	require.NoError(t, err, "a tag that the fan has")
	require.Error(t, w.sim.TagFan(fans[0], more.ID))
	_, err = w.client.RemoveTag(t.Context(), w.acc, 100, fans[:1])
	require.NoError(t, err)
	require.NoError(t, w.sim.TagFan(fans[0], more.ID))
	require.Len(t, w.tagged(fans[0]), 20)
}

func TestFansWhoCannotBeTagged(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	tag, fans := w.tag("x"), w.fans(3)
	w.unfollow(fans[1])
	require.NoError(t, w.sim.SetFanFlags(fans[2], simulator.FanFlags{Limited: true}))
	for openid, want := range map[string]int{
		fans[0]: 0, "nobody": 40003, w.foreign(): 49003, fans[1]: 50005, fans[2]: 50002,
	} {
		for _, change := range []func(string) (wechat.Batched, error){
			func(id string) (wechat.Batched, error) {
				return w.client.AddTag(t.Context(), w.acc, tag.ID, []string{id})
			},
			func(id string) (wechat.Batched, error) {
				return w.client.RemoveTag(t.Context(), w.acc, tag.ID, []string{id})
			},
		} {
			done, err := change(openid)
			require.NoError(t, err)
			require.Equal(t, 1, done.Done)
			if want == 0 {
				require.Empty(t, done.Refused)
				continue
			}
			require.Len(t, done.Refused, 1)
			requireCode(t, want, done.Refused[0].Err)
			require.Equal(t, wechat.ClassFan, done.Refused[0].Err.Class())
		}
	}
	for openid, want := range map[string]int{"nobody": 40003, w.foreign(): 49003} {
		_, err := w.client.TagsOf(t.Context(), w.acc, openid)
		requireCode(t, want, err)
		_, err = w.client.FansWithTag(t.Context(), w.acc, tag.ID, openid)
		requireCode(t, 40003, err)
	}
	_, err := w.client.FansWithTag(t.Context(), w.acc, tag.ID, fans[0])
	requireCode(t, 40003, err)
	require.Error(t, w.sim.TagFan("nobody", tag.ID))
	require.Error(t, w.sim.TagFan(fans[0], 7))
}

func TestABatchIsTaggedAsAWholeOrPartly(t *testing.T) {
	t.Parallel()
	for _, partly := range []bool{false, true} {
		w := newFansWorld(t, simulator.Switches{TagPartly: partly})
		tag, fans := w.tag("x"), w.fans(3)
		require.NoError(t, w.sim.SetFanFlags(fans[1], simulator.FanFlags{Limited: true}))
		code, body := w.raw("POST", simulator.PathBatchTagging,
			fmt.Sprintf(`{"openid_list":["%s"],"tagid":%d}`, strings.Join(fans, `","`), tag.ID))
		if partly {
			require.Equal(t, 45171, code)
			require.Contains(t, body, `"fail_openid_list":["`+fans[1]+`"]}`)
			require.Equal(t, []int{tag.ID}, w.tagged(fans[2]))
		} else {
			require.Equal(t, 50002, code)
			require.Empty(t, w.tagged(fans[0]))
		}
		code, _ = w.raw("POST", simulator.PathBatchTagging, fmt.Sprintf(`{"openid_list":["%s"],"tagid":%d}`, fans[1], tag.ID))
		require.Equal(t, 50002, code, "nobody could be tagged")
		done, err := w.client.AddTag(t.Context(), w.acc, tag.ID, fans)
		require.NoError(t, err)
		require.Equal(t, 3, done.Done)
		require.Len(t, done.Refused, 1)
		requireCode(t, 50002, done.Refused[0].Err)
		require.Equal(t, []int{tag.ID}, w.tagged(fans[0]))
		require.Empty(t, w.tagged(fans[1]))
		require.Equal(t, []int{tag.ID}, w.tagged(fans[2]))
	}
}

func TestAFanWhoIsBeingChangedCanBeTriedAgainLater(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	tag, fans := w.tag("x"), w.fans(8)
	w.through(func(_ int, r *http.Request) *http.Response {
		if strings.Contains(readAll(r), fans[5]) {
			return saysJSON(`{"errcode":45169,"errmsg":"x"}`)
		}
		return nil
	})
	done, err := w.client.AddTag(t.Context(), w.acc, tag.ID, fans)
	require.NoError(t, err)
	require.Equal(t, 8, done.Done)
	require.Len(t, done.Refused, 1)
	require.Equal(t, fans[5], done.Refused[0].OpenID)
	require.Equal(t, wechat.ClassRetry, done.Refused[0].Err.Class())
}

func TestTheFansOfATagWhileTheyComeAndLeave(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	tag, fans := w.tag("x"), w.fans(10_005)
	for _, fan := range fans[:10_003] {
		require.NoError(t, w.sim.TagFan(fan, tag.ID))
	}
	first, err := w.client.FansWithTag(t.Context(), w.acc, tag.ID, "")
	require.NoError(t, err)
	require.Len(t, first.OpenIDs, 10_000)
	_, err = w.client.RemoveTag(t.Context(), w.acc, tag.ID, []string{first.Next})
	require.NoError(t, err)
	w.unfollow(fans[10_001])
	_, err = w.client.AddTag(t.Context(), w.acc, tag.ID, []string{fans[10_004], first.Next})
	require.NoError(t, err)
	second, err := w.client.FansWithTag(t.Context(), w.acc, tag.ID, first.Next)
	require.NoError(t, err)
	require.Equal(t, []string{fans[10_000], fans[10_002], fans[10_004], first.Next}, second.OpenIDs)
}

func TestCallsAboutTagsAreReadStrictly(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	tag, fan := w.tag("x"), w.fans(1)[0]
	require.Equal(t, 100, tag.ID)
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", simulator.PathTagsCreate, "", 43002},
		{"POST", simulator.PathTagsGet, "", 43001},
		{"GET", simulator.PathTagsGet + "?id=1", "", 40097},
		{"POST", simulator.PathTagsCreate, ``, 44002},
		{"POST", simulator.PathTagsCreate, `{}`, 40035},
		{"POST", simulator.PathTagsCreate, `{"tag":{}}`, 40035},
		{"POST", simulator.PathTagsCreate, `{"tag":"y"}`, 47001},
		{"POST", simulator.PathTagsCreate, `{"tag":{"name":7}}`, 47001},
		{"POST", simulator.PathTagsCreate, `{"tag":{"name":"y","id":7}}`, 40097},
		{"POST", simulator.PathTagsCreate, `{"tag":{"name":"y"},"x":1}`, 40097},
		{"POST", simulator.PathTagsCreate, `{"tag":{"name":"\u0041"}}`, 47002},
		{"POST", simulator.PathTagsUpdate, `{"tag":{"id":100}}`, 40035},
		{"POST", simulator.PathTagsUpdate, `{"tag":{"id":"100","name":"y"}}`, 47001},
		{"POST", simulator.PathTagsUpdate, `{"tag":{"id":null,"name":"y"}}`, 47001},
		{"POST", simulator.PathTagsDelete, `{"tag":{"id":100,"name":"x"}}`, 40097},
		{"POST", simulator.PathTagFans, `{}`, 40035},
		{"POST", simulator.PathTagFans, `{"tagid":100,"next":""}`, 40097},
		{"POST", simulator.PathTagFans, `{"tagid":100,"next_openid":7}`, 47001},
		{"POST", simulator.PathTagFans, `{"tagid":7}`, 45159},
		{"POST", simulator.PathBatchTagging, `{"openid_list":["` + fan + `"]}`, 40035},
		{"POST", simulator.PathBatchTagging, `{"tagid":100}`, 40035},
		{"POST", simulator.PathBatchTagging, `{"openid_list":"` + fan + `","tagid":100}`, 47001},
		{"POST", simulator.PathBatchTagging, `{"openid_list":[7],"tagid":100}`, 47001},
		{"POST", simulator.PathBatchTagging, `{"openid_list":["` + fan + `"],"tagid":100,"x":1}`, 40097},
		{"POST", simulator.PathBatchUntagging, `{"openid_list":["` + fan + `"],"tagid":7}`, 45159},
		{"POST", simulator.PathTagsOfFan, `{}`, 40035},
		{"POST", simulator.PathTagsOfFan, `{"openid":7}`, 47001},
		{"POST", simulator.PathTagsOfFan, `[]`, 47001},
	} {
		code, body := w.raw(c.method, c.path, c.body)
		require.Equal(t, c.want, code, "%s %s %s: %s", c.method, c.path, c.body, body)
	}
}

func TestACreatedTagWhoseAnswerIsLostIsInDoubt(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	require.NoError(t, w.sim.SetFaults(simulator.PathTagsCreate, simulator.Faults{ResetAfter: 1}))
	_, err := w.client.CreateTag(t.Context(), w.acc, "x")
	require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err))
	tags, err := w.client.Tags(t.Context(), w.acc)
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(tags, func(tag wechat.Tag) bool { return tag.Name == "x" }))
	for body, call := range map[string]func() error{
		`{"tag":{}}`: func() error { _, err := w.client.CreateTag(t.Context(), w.acc, "y"); return err },
		`{}`:         func() error { _, err := w.client.Tags(t.Context(), w.acc); return err },
		`{"a":1}`:    func() error { _, err := w.client.TagsOf(t.Context(), w.acc, "o1"); return err },
		`{"b":1}`:    func() error { _, err := w.client.AddTag(t.Context(), w.acc, 100, []string{"o1"}); return err },
		`{"c":1}`:    func() error { return w.client.DeleteTag(t.Context(), w.acc, 100) },
	} {
		w.through(func(int, *http.Request) *http.Response { return saysJSON(body) })
		require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(call()), body)
	}
}
