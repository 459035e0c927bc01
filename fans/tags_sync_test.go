package fans

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/fault"
	"hongyan/internal/jobs"
	"hongyan/internal/testdb"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// onPlatform makes a tag at the account's website.
func (w *tagWorld) onPlatform(name string) int {
	w.t.Helper()
	tag, err := w.platform.Client.CreateTag(w.t.Context(), w.acc(), name)
	require.NoError(w.t, err)
	return tag.ID
}

func (w *tagWorld) acc() wechat.Account {
	return wechat.Account{ID: 99, AppID: syncAppID, Secret: "a secret of the test", BaseURL: "http://platform.invalid"}
}

func TestTagsThatExistOnThePlatformAreTakenOver(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		openids, ids := w.followers(5)
		own := w.tag("own", false)
		w.add(own, ids...)
		kept, gone := w.tag("kept", true), w.tag("gone", true)
		w.add(kept, ids[0], ids[1], ids[2])
		w.add(gone, ids...)
		// At the website: tags are made, renamed and deleted, fans tagged and untagged.
		unknown := w.people(3, true)
		fresh := w.onPlatform("新来的")
		for _, openid := range append(unknown, openids[4]) {
			require.NoError(t, w.sim.TagFan(openid, fresh))
		}
		require.NoError(t, w.platform.Client.RenameTag(t.Context(), w.acc(), kept.WeChatID, "kept on"))
		require.NoError(t, w.platform.Client.DeleteTag(t.Context(), w.acc(), gone.WeChatID))
		_, err := w.platform.Client.RemoveTag(t.Context(), w.acc(), kept.WeChatID, openids[:1])
		require.NoError(t, err)
		require.NoError(t, w.sim.TagFan(openids[3], kept.WeChatID))

		require.Equal(t, [][]string{
			{"101", "removed", "gone"}, {"2", "added", "星标组"}, {"100", "renamed", "kept on"}, {"102", "added", "新来的"},
		}, w.syncTags())
		require.Equal(t, []string{"0 own 5", "100 kept on 3", "2 星标组 0", "102 新来的 4"}, w.tags())
		w.agreesOnTags(append(openids, unknown...))
		require.Contains(t, w.tagged(openids[0]), own.ID)
		require.False(t, w.fan(unknown[0]).Subscribed, "that they follow is for the synchronisation of fans to say")
		require.Empty(t, w.syncTags(), "again there is nothing new")
		w.agreesOnTags(append(openids, unknown...))
	})
}

func TestNamesThatWereSwappedOnThePlatformAreTakenOver(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		a, b := w.tag("a", true), w.tag("b", true)
		for _, step := range []wechat.Tag{{ID: a.WeChatID, Name: "c"}, {ID: b.WeChatID, Name: "a"}, {ID: a.WeChatID, Name: "b"}} {
			require.NoError(t, w.platform.Client.RenameTag(t.Context(), w.acc(), step.ID, step.Name))
		}
		w.syncTags()
		require.Equal(t, []string{"100 b 0", "101 a 0", "2 星标组 0"}, w.tags())
	})
}

func TestATagOfOurOwnGivesWayToOneOfThePlatformWithItsName(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		_, ids := w.followers(1)
		own := w.tag("VIP", false)
		w.add(own, ids...)
		w.tag("VIP（本地）", false)
		w.onPlatform("VIP")
		require.Equal(t, [][]string{
			{"2", "added", "星标组"}, {"100", "added", "VIP"}, {"", "renamed_because_wechat_has_the_name", "VIP（本地）2"},
		}, w.syncTags())
		require.Equal(t, []string{"0 VIP（本地）2 1", "0 VIP（本地） 0", "2 星标组 0", "100 VIP 0"}, w.tags())
	})
}

func TestATagWhoseNumberAloneWasKnownGetsItsName(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		openids, ids := w.followers(2)
		id := w.onPlatform("a")
		require.NoError(t, w.sim.TagFan(openids[0], id))
		w.setWeChatTags(map[int64][]int{ids[0]: {id}, ids[1]: {777}})
		require.Equal(t, []string{"100  1", "777  1"}, w.tags())
		w.syncTags()
		require.Equal(t, []string{"100 a 1", "2 星标组 0"}, w.tags())
	})
}

// pages makes the platform's pages of a tag's fans shorter than they are.
func (w *tagWorld) pages(n int, each func(page int)) {
	page := 0
	hook := func(path string, resp *http.Response) {
		if path != simulator.PathTagFans {
			return
		}
		page++
		rewrite(w.t, resp, func(body map[string]any) {
			data, some := body["data"].(map[string]any)
			if !some {
				return
			}
			list := data["openid"].([]any)
			if len(list) > n {
				data["openid"], body["count"], body["next_openid"] = list[:n], n, list[n-1]
			}
		})
		each(page)
	}
	w.answered.Store(&hook)
}

func TestASynchronisationOfTagsGoesOnWhereItWasCutShort(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		openids := w.people(230, true)
		a, b := w.onPlatform("a"), w.onPlatform("b")
		for i, openid := range openids {
			require.NoError(t, w.sim.TagFan(openid, a))
			if i%2 == 0 {
				require.NoError(t, w.sim.TagFan(openid, b))
			}
		}
		w.pages(20, func(page int) {
			if page%4 == 0 {
				panic("killed")
			}
		})
		w.clk.Advance(time.Minute)
		j := &jobs.Job{AccountID: account, Kind: TagsSyncKind}
		require.NoError(t, w.jobs.Create(t.Context(), j))
		for w.job(j.ID).State != jobs.StateFinished {
			require.False(t, w.job(j.ID).State.Ended(), w.job(j.ID).Error)
			w.run()
			w.clk.Advance(5 * time.Second)
		}
		require.Equal(t, []string{"2 星标组 0", "100 a 230", "101 b 115"}, w.tags())
		w.agreesOnTags(openids)
		end := w.job(j.ID)
		require.Equal(t, []int64{345, 345}, []int64{end.Done, end.Total})
		require.NotContains(t, end.Cursor, openids[0][:6], "nobody is left in the job's row")
	})
}

func TestATagThatIsDeletedOnThePlatformDuringASynchronisationGoes(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		_, ids := w.followers(2)
		a, b := w.tag("a", true), w.tag("b", true)
		w.add(a, ids...)
		w.add(b, ids...)
		w.onAnswer(simulator.PathTagsGet, func(*http.Response) {
			require.NoError(t, w.platform.Client.DeleteTag(t.Context(), w.acc(), a.WeChatID))
		})
		require.Equal(t, [][]string{{"2", "added", "星标组"}, {"100", "removed", "a"}}, linesOf(w.syncTags()))
		require.Equal(t, []string{"101 b 2", "2 星标组 0"}, w.tags())
	})
}

// linesOf drops the headers of later parts.
func linesOf(lines [][]string) [][]string {
	var out [][]string
	for _, l := range lines {
		if l[0] != "wechat_id" {
			out = append(out, l)
		}
	}
	return out
}

func TestWhoIsTaggedHereWhileAListIsReadKeepsTheTag(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		openids, ids := w.followers(3)
		a := w.tag("a", true)
		w.add(a, ids[0])
		w.clk.Advance(time.Minute)
		w.onAnswer(simulator.PathTagFans, func(resp *http.Response) {
			rewrite(t, resp, func(map[string]any) {}) // the answer is read before the fan is tagged
			w.add(a, ids[1])
		})
		w.syncTags()
		require.Equal(t, []int64{a.ID}, w.tagged(openids[1]))
		w.agreesOnTags(openids)
	})
}

func TestACursorThatThePlatformForgotBeginsTheListOfATagAnew(t *testing.T) {
	t.Parallel()
	w := newTagWorld(t, testdb.SQLite(t))
	openids := w.people(50, true)
	a := w.onPlatform("a")
	for _, openid := range openids {
		require.NoError(t, w.sim.TagFan(openid, a))
	}
	forgotten := false
	w.pages(20, func(page int) {
		if page == 3 && !forgotten { // page 1 is that of the starred tag
			forgotten = true
			require.NoError(t, w.sim.SetFaults(simulator.PathTagFans, simulator.Faults{Codes: []simulator.CodeShare{{Code: 40003, Share: 1}}, Most: 1}))
		}
	})
	w.syncTags()
	require.Equal(t, []string{"2 星标组 0", "100 a 50"}, w.tags())
}

func TestABrokenCursorEndsTheJob(t *testing.T) {
	t.Parallel()
	w := newTagWorld(t, testdb.SQLite(t))
	for kind, cursor := range map[string]string{TagsSyncKind: "{", TagKind: "x"} {
		params, err := json.Marshal(TagJob{TagID: w.tag(kind, false).ID, All: true})
		require.NoError(t, err)
		j := &jobs.Job{AccountID: account, Kind: kind, Params: params}
		require.NoError(t, w.jobs.Create(t.Context(), j))
		require.NoError(t, w.db.Tx(t.Context(), func(tx *gorm.DB) error {
			return tx.Exec("UPDATE jobs SET progress = ? WHERE id = ?", cursor, j.ID).Error
		}))
		w.run()
		require.Equal(t, jobs.StateFailed, w.job(j.ID).State)
	}
}

func (w *tagWorld) tagJob(in TagJob) *jobs.Job {
	w.t.Helper()
	j, err := NewTagJob(account, in)
	require.NoError(w.t, err)
	return j
}

func TestManyFansAreTaggedByAJobThatGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		openids, ids := w.followers(1050)
		tag := w.tag("a", true)
		for i := range 20 {
			require.NoError(t, w.sim.TagFan(openids[333], w.onPlatform(strconv.Itoa(i))))
		}
		calls := 0
		hook := func(path string, _ *http.Response) {
			if calls++; path == simulator.PathBatchTagging && calls%23 == 0 {
				panic("killed")
			}
		}
		w.answered.Store(&hook)
		j := w.tagJob(TagJob{TagID: tag.ID, FanIDs: append(ids, 99_999)})
		require.NoError(t, w.jobs.Create(t.Context(), j))
		for w.job(j.ID).State != jobs.StateFinished {
			require.False(t, w.job(j.ID).State.Ended(), w.job(j.ID).Error)
			w.run()
			w.clk.Advance(5 * time.Second)
		}
		end := w.job(j.ID)
		require.Equal(t, []int64{1051, 2, 1051}, []int64{end.Done, end.Failed, end.Total})
		lines := w.lines(j)
		require.Equal(t, [][]string{
			{strconv.FormatInt(ids[333], 10), "45059", fanRefused(45059).ZH, fanRefused(45059).EN}, {"99999", "0", unknownFan().ZH, unknownFan().EN},
		}, lines)
		found, err := w.FindTag(t.Context(), account, tag.ID)
		require.NoError(t, err)
		require.EqualValues(t, 1049, found.Fans)
		w.counted(found)
		w.answered.Store(nil)
		there, err := w.sim.Tags(syncAppID)
		require.NoError(t, err)
		require.Equal(t, 1049, there[1].Fans)
		w.do(w.tagJob(TagJob{TagID: tag.ID, WithTag: tag.ID, Remove: true}))
		require.Empty(t, w.there(openids[0]))
		own := w.tag("own", false)
		w.do(w.tagJob(TagJob{TagID: own.ID, All: true}))
		found, err = w.FindTag(t.Context(), account, own.ID)
		require.NoError(t, err)
		require.EqualValues(t, 1050, found.Fans)
	})
}

func TestATaggingThatMeetsAnotherProgramIsToldAndQuotaEndsForTheDay(t *testing.T) {
	t.Parallel()
	w := newTagWorld(t, testdb.SQLite(t))
	_, ids := w.followers(120)
	tag := w.tag("a", true)
	require.NoError(t, w.sim.SetFaults(simulator.PathBatchTagging, simulator.Faults{Codes: []simulator.CodeShare{{Code: 45169, Share: 1}}}))
	require.Equal(t, []RefusedFan{{FanID: ids[0], Code: 45169, Reason: fanRefused(45169)}}, w.add(tag, ids[0]).Refused)
	require.NoError(t, w.sim.SetFaults(simulator.PathBatchTagging, simulator.Faults{}))
	require.NoError(t, w.sim.SetLimit(syncAppID, simulator.PathBatchTagging, simulator.Limit{Daily: 2}))
	out, err := w.mirror.TagFans(t.Context(), account, Tagging{TagID: tag.ID, FanIDs: ids})
	requireErrcode(t, err, 45009)
	require.Equal(t, 100, out.Done, "what was done before is stored")
	found, err := w.FindTag(t.Context(), account, tag.ID)
	require.NoError(t, err)
	w.counted(found)
	require.EqualValues(t, 100, found.Fans)
	j := w.tagJob(TagJob{TagID: tag.ID, FanIDs: ids})
	require.NoError(t, w.jobs.Create(t.Context(), j))
	w.run()
	require.Equal(t, []any{jobs.StateWaiting, 0}, []any{w.job(j.ID).State, w.job(j.ID).Tries}, "it goes on tomorrow")
}

func TestABadTagJobIsRefused(t *testing.T) {
	t.Parallel()
	for _, in := range []TagJob{{}, {TagID: 1}, {TagID: 1, All: true, WithTag: 2}, {TagID: 1, FanIDs: upTo(MaxTagJob + 1)}, {All: true}} {
		_, err := NewTagJob(account, in)
		require.True(t, fault.Is(err, fault.Invalid), "%v", err)
	}
	j, err := NewTagJob(account, TagJob{TagID: 1, FanIDs: []int64{3, 1, 3}})
	require.NoError(t, err)
	require.Contains(t, string(j.Params), "[1,3]")
}
