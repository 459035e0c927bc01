package fans

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/jobs"
	"hongyan/internal/testdb"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// tagWorld is a room with the platform on the other side, and members who tag.
type tagWorld struct {
	*syncWorld
	mirror *Mirror
}

func eachTagged(t *testing.T, test func(t *testing.T, w *tagWorld)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) { test(t, newTagWorld(t, db)) })
}

func newTagWorld(t *testing.T, db *database.DB) *tagWorld {
	t.Helper()
	w := &tagWorld{syncWorld: newSyncWorld(t, db)}
	w.mirror = NewMirror(w.Store, w.platform)
	w.worker.Runners[TagsSyncKind] = w.mirror.SyncTags
	w.worker.Runners[TagKind] = w.mirror.Tag
	w.worker.Runners[EraseAllKind] = w.EraseAll
	return w
}

// followers are people who follow at the platform and here.
func (w *tagWorld) followers(n int) (openids []string, ids []int64) {
	w.t.Helper()
	openids = w.people(n, true)
	var acts []*Act
	for _, openid := range openids {
		acts = append(acts, &Act{InboxID: w.inbox.Add(1), OpenID: openid, Kind: "subscribe", Followed: true, EventAt: w.at(-time.Hour)})
	}
	for _, r := range w.record(acts...) {
		ids = append(ids, r.Fan.ID)
	}
	return openids, ids
}

func (w *tagWorld) tag(name string, there bool) *Tag {
	w.t.Helper()
	tag, err := w.mirror.CreateTag(w.t.Context(), account, NewTag{Name: name, WeChat: there})
	require.NoError(w.t, err)
	return tag
}

// tags are the account's tags in short: the platform's number, the name, how many fans.
func (w *tagWorld) tags() []string {
	w.t.Helper()
	all, err := w.FindTags(w.t.Context(), account)
	require.NoError(w.t, err)
	out := []string{}
	for _, t := range all {
		out = append(out, fmt.Sprint(t.WeChatID, " ", t.Name, " ", t.Fans))
		w.counted(t)
	}
	return out
}

// counted checks a tag's count against who has it.
func (w *tagWorld) counted(t *Tag) {
	w.t.Helper()
	ids, err := w.FansWithTag(w.t.Context(), account, t.ID, 0, 1_000_000)
	require.NoError(w.t, err)
	require.EqualValues(w.t, len(ids), t.Fans, t.Name)
	require.True(w.t, slices.IsSorted(ids))
}

func (w *tagWorld) tagged(openid string) []int64 {
	w.t.Helper()
	id := w.fan(openid).ID
	of, err := w.TagsOf(w.db.Read(w.t.Context()), account, []int64{id})
	require.NoError(w.t, err)
	return of[id]
}

// there are the tags that a fan has on the platform.
func (w *tagWorld) there(openid string) []int {
	w.t.Helper()
	acc := wechat.Account{ID: 99, AppID: syncAppID, Secret: "a secret of the test", BaseURL: "http://platform.invalid"}
	ids, err := w.platform.Client.TagsOf(w.t.Context(), acc, openid)
	require.NoError(w.t, err)
	return ids
}

func (w *tagWorld) add(tag *Tag, ids ...int64) Tagged {
	w.t.Helper()
	out, err := w.mirror.TagFans(w.t.Context(), account, Tagging{TagID: tag.ID, FanIDs: ids})
	require.NoError(w.t, err)
	return out
}

// job runs a job to its end and returns the lines of its result.
func (w *tagWorld) do(j *jobs.Job) [][]string {
	w.t.Helper()
	w.clk.Advance(time.Minute)
	require.NoError(w.t, w.jobs.Create(w.t.Context(), j))
	w.run()
	end := w.job(j.ID)
	require.Equal(w.t, jobs.StateFinished, end.State, end.Error)
	return w.lines(j)
}

func (w *tagWorld) lines(j *jobs.Job) [][]string {
	w.t.Helper()
	var file bytes.Buffer
	require.NoError(w.t, w.jobs.WriteResult(w.t.Context(), account, j.ID, &file))
	lines, err := csv.NewReader(&file).ReadAll()
	require.NoError(w.t, err)
	if len(lines) > 0 {
		lines = lines[1:]
	}
	return lines
}

func (w *tagWorld) syncTags() [][]string {
	w.t.Helper()
	return w.do(&jobs.Job{AccountID: account, Kind: TagsSyncKind})
}

// agreesOnTags checks that our tags of the platform are the platform's, with the same fans.
func (w *tagWorld) agreesOnTags(openids []string) {
	w.t.Helper()
	tags, err := w.sim.Tags(syncAppID)
	require.NoError(w.t, err)
	want, got := map[int]string{}, map[int]string{}
	ours, err := w.FindTags(w.t.Context(), account)
	require.NoError(w.t, err)
	number := map[int64]int{}
	for _, t := range tags {
		want[t.ID] = fmt.Sprint(t.Name, " ", t.Fans)
	}
	for _, t := range ours {
		if t.WeChatID != 0 {
			got[t.WeChatID] = fmt.Sprint(t.Name, " ", t.Fans)
			number[t.ID] = t.WeChatID
		}
	}
	require.Equal(w.t, want, got)
	for _, openid := range openids {
		var here []int
		for _, id := range w.tagged(openid) {
			if number[id] != 0 {
				here = append(here, number[id])
			}
		}
		require.ElementsMatch(w.t, w.there(openid), here, openid)
	}
}

func requireField(t *testing.T, err error, field, rule string) {
	t.Helper()
	fields := fault.Fields(err)
	require.Len(t, fields, 1, "%v", err)
	require.Equal(t, []string{field, rule}, []string{fields[0].Field, fields[0].Rule})
}

func requireErrcode(t *testing.T, err error, code int) {
	t.Helper()
	failed, ok := errors.AsType[*wechat.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, code, failed.Code)
}

func (w *tagWorld) setWeChatTags(tags map[int64][]int) {
	w.t.Helper()
	require.NoError(w.t, w.db.Tx(w.t.Context(), func(tx *gorm.DB) error { return w.SetWeChatTags(tx, account, tags) }))
}

func (w *tagWorld) calls(path string) int {
	return len(w.sim.Calls(simulator.Filter{Path: path}))
}
