package fans

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/fault"
	"hongyan/internal/testdb"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestATagOfOurOwnIsNothingToThePlatform(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		openids, ids := w.followers(3)
		left := w.known(w.people(1, false)[0], false)
		tag := w.tag(" 老客户 ", false)
		require.Equal(t, []any{"老客户", 0}, []any{tag.Name, tag.WeChatID})
		require.Equal(t, Tagged{Done: 4}, w.add(tag, append(ids, left)...), "who left can have it too")
		require.Equal(t, Tagged{Done: 2}, w.add(tag, ids[0], ids[1]), "twice is harmless")
		require.Equal(t, []string{"0 老客户 4"}, w.tags())
		require.Equal(t, []int64{tag.ID}, w.tagged(openids[0]))
		out, err := w.mirror.UntagFans(t.Context(), account, Tagging{TagID: tag.ID, FanIDs: []int64{ids[0], left}})
		require.NoError(t, err)
		require.Equal(t, Tagged{Done: 2}, out)
		require.Empty(t, w.tagged(openids[0]))
		require.NoError(t, w.mirror.RenameTag(t.Context(), account, tag.ID, "VIP"))
		require.Equal(t, []string{"0 VIP 2"}, w.tags())
		require.NoError(t, w.mirror.DeleteTag(t.Context(), account, tag.ID))
		require.Empty(t, w.tags())
		require.Empty(t, w.tagged(openids[1]))
		require.Empty(t, w.sim.Calls(simulator.Filter{}), "the platform was asked nothing")
		_, err = w.FansWithTag(t.Context(), account, tag.ID, 0, 10)
		require.True(t, fault.Is(err, fault.NotFound))
	})
}

func TestNamesOfTagsAreUniqueLetterByLetter(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		vip := w.tag("VIP", false)
		w.tag("vip", false)
		there := w.tag("广东", true)
		_, err := w.mirror.CreateTag(t.Context(), account, NewTag{Name: "VIP "})
		requireField(t, err, "name", "tag_name_taken")
		_, err = w.mirror.CreateTag(t.Context(), account, NewTag{Name: "VIP", WeChat: true})
		requireField(t, err, "name", "tag_name_taken")
		requireField(t, w.mirror.RenameTag(t.Context(), account, there.ID, "vip"), "name", "tag_name_taken")
		requireField(t, w.mirror.RenameTag(t.Context(), account, vip.ID, "广东"), "name", "tag_name_taken")
		require.NoError(t, w.mirror.RenameTag(t.Context(), account, vip.ID, "VIP"), "its own name")
		require.NoError(t, w.mirror.DeleteTag(t.Context(), account, vip.ID))
		w.tag("VIP", false)
		_, err = w.mirror.CreateTag(t.Context(), account+1, NewTag{Name: "VIP"})
		require.NoError(t, err, "another account has its own")
		require.Equal(t, 1, w.calls(simulator.PathTagsCreate), "what cannot be is not tried")
	})
}

func TestABadTagNameIsRefusedWithItsRule(t *testing.T) {
	t.Parallel()
	w := newTagWorld(t, testdb.SQLite(t))
	for name, rule := range map[string]string{"": "required", "\u3000": "required", strings.Repeat("鸿", 31): "tag_name_length", "a\nb": "tag_name", "a\xff": "tag_name"} {
		for _, there := range []bool{false, true} {
			_, err := w.mirror.CreateTag(t.Context(), account, NewTag{Name: name, WeChat: there})
			requireField(t, err, "name", rule)
		}
	}
	w.tag(strings.Repeat("鸿", 30), true)
	require.NoError(t, w.sim.SetSwitches(simulator.Switches{NamesInBytes: true}))
	_, err := w.mirror.CreateTag(t.Context(), account, NewTag{Name: strings.Repeat("燕", 11), WeChat: true})
	requireField(t, err, "name", "tag_name_length")
	requireErrcode(t, err, 45158)
}

func TestATagIsMadeRenamedAndDeletedOnThePlatformFirst(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		openids, ids := w.followers(2)
		tag := w.tag("广东", true)
		require.Equal(t, 100, tag.WeChatID)
		require.Equal(t, Tagged{Done: 2}, w.add(tag, ids...))
		require.NoError(t, w.mirror.RenameTag(t.Context(), account, tag.ID, "广东人"))
		names, err := w.sim.Tags(syncAppID)
		require.NoError(t, err)
		require.Equal(t, simulator.Tag{ID: 100, Name: "广东人", Fans: 2}, names[1])
		require.Equal(t, []string{"100 广东人 2"}, w.tags())
		out, err := w.mirror.UntagFans(t.Context(), account, Tagging{TagID: tag.ID, FanIDs: ids[:1]})
		require.NoError(t, err)
		require.Equal(t, Tagged{Done: 1}, out)
		require.Empty(t, w.there(openids[0]))
		require.Equal(t, []int{100}, w.there(openids[1]))
		require.NoError(t, w.mirror.DeleteTag(t.Context(), account, tag.ID))
		require.Empty(t, w.there(openids[1]))
		require.Empty(t, w.tags())

		// Refusals change nothing here.
		tag = w.tag("a", true)
		w.gate.stopped.Store(true)
		require.True(t, fault.Is(w.mirror.RenameTag(t.Context(), account, tag.ID, "b"), fault.Unavailable))
		require.True(t, fault.Is(w.mirror.DeleteTag(t.Context(), account, tag.ID), fault.Unavailable))
		_, err = w.mirror.TagFans(t.Context(), account, Tagging{TagID: tag.ID, FanIDs: ids})
		require.True(t, fault.Is(err, fault.Unavailable))
		require.Equal(t, []string{"101 a 0"}, w.tags())
	})
}

func TestThePlatformsLimitsOfTagsAreToldToTheMember(t *testing.T) {
	t.Parallel()
	w := newTagWorld(t, testdb.SQLite(t))
	for i := range 100 {
		w.tag(fmt.Sprint("tag ", i), true)
	}
	_, err := w.mirror.CreateTag(t.Context(), account, NewTag{Name: "one more", WeChat: true})
	require.True(t, fault.Is(err, fault.Conflict), "%v", err)
	requireErrcode(t, err, 45056)
	w.tag("one more", false)

	// A name that the platform has and we do not know of.
	first := w.tags()[0]
	require.Equal(t, "100 tag 0 0", first)
	all, err := w.FindTags(t.Context(), account)
	require.NoError(t, err)
	require.NoError(t, w.db.Tx(t.Context(), func(tx *gorm.DB) error { _, err := w.removeTags(tx, account, []int64{all[0].ID}); return err }))
	_, err = w.mirror.CreateTag(t.Context(), account, NewTag{Name: "tag 0", WeChat: true})
	requireField(t, err, "name", "tag_name_taken")
	requireErrcode(t, err, 45157)

	// The starred tag has a number of the system.
	w.syncTags()
	starred, err := readTags(w.db.Read(t.Context()), "wechat_id = 2")
	require.NoError(t, err)
	require.Equal(t, "星标组", starred[0].Name)
	requireField(t, w.mirror.RenameTag(t.Context(), account, starred[0].ID, "x"), "id", "system_tag")
	requireField(t, w.mirror.DeleteTag(t.Context(), account, starred[0].ID), "id", "system_tag")
	_, ids := w.followers(1)
	require.Equal(t, Tagged{Done: 1}, w.add(starred[0], ids...), "but fans can have it")
}

func TestATagOfMoreThan100000FansIsDeletedAfterItWasTakenFromSome(t *testing.T) {
	t.Parallel()
	w := newTagWorld(t, testdb.SQLite(t))
	openids, ids := w.followers(1)
	tag := w.tag("all", true)
	for _, openid := range append(w.people(100_000, true), openids...) {
		require.NoError(t, w.sim.TagFan(openid, tag.WeChatID))
	}
	w.setWeChatTags(map[int64][]int{ids[0]: {tag.WeChatID}})
	err := w.mirror.DeleteTag(t.Context(), account, tag.ID)
	require.True(t, fault.Is(err, fault.Conflict), "%v", err)
	requireErrcode(t, err, 45057)
	require.Contains(t, err.Error(), TagKind)
	require.Equal(t, []string{"100 all 1"}, w.tags())
	w.do(w.tagJob(TagJob{TagID: tag.ID, WithTag: tag.ID, Remove: true}))
	require.NoError(t, w.mirror.DeleteTag(t.Context(), account, tag.ID))
	require.Empty(t, w.tags())
}

func TestWhatIsLeftOfDeletedTagsIsSweptAway(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		ids := w.fans(2500)
		gone, stays := w.tag("gone", false), w.tag("stays", false)
		for i := 0; i < len(ids); i += 500 {
			w.add(gone, ids[i:i+500]...)
		}
		w.add(stays, ids[0])
		require.NoError(t, w.mirror.DeleteTag(t.Context(), account, gone.ID))
		require.True(t, fault.Is(w.mirror.DeleteTag(t.Context(), account, gone.ID), fault.NotFound))
		require.NoError(t, w.SweepRemoved(t.Context()))
		require.EqualValues(t, 1, w.number("SELECT COUNT(*) FROM fan_tags"))
		require.EqualValues(t, 1, w.number("SELECT COUNT(*) FROM tags"))
	})
}

func TestAFanWith20TagsIsRefusedAndTheOthersAreTagged(t *testing.T) {
	t.Parallel()
	for _, partly := range []bool{false, true} {
		eachTagged(t, func(t *testing.T, w *tagWorld) {
			require.NoError(t, w.sim.SetSwitches(simulator.Switches{TagPartly: partly}))
			openids, ids := w.followers(120)
			for i := range 20 {
				require.NoError(t, w.sim.TagFan(openids[70], w.tag(strconv.Itoa(i), true).WeChatID))
			}
			gone := w.known(w.people(1, false)[0], false)
			tag := w.tag("full", true)
			out := w.add(tag, append(ids, gone)...)
			require.Equal(t, 119, out.Done)
			require.Equal(t, []RefusedFan{
				{FanID: ids[70], Code: 45059, Reason: fanRefused(45059)}, {FanID: gone, Code: 50005, Reason: fanRefused(50005)},
			}, out.Refused)
			require.Empty(t, w.tagged(openids[70]))
			require.Equal(t, []int64{tag.ID}, w.tagged(openids[71]))
			require.Equal(t, []int{tag.WeChatID}, w.there(openids[119]))
			again, err := w.mirror.UntagFans(t.Context(), account, Tagging{TagID: tag.ID, FanIDs: append(ids, gone)})
			require.NoError(t, err)
			require.Equal(t, 121, again.Done)
			require.Empty(t, w.there(openids[119]))
		})
	}
}

func TestASetOfFansIsTaggedWholeOrNotAtAllWhenItIsWrong(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		_, ids := w.followers(2)
		tag := w.tag("a", true)
		other, err := w.mirror.CreateTag(t.Context(), account+1, NewTag{Name: "of another account"})
		require.NoError(t, err)
		for _, c := range []struct {
			in   Tagging
			code fault.Code
		}{
			{Tagging{TagID: tag.ID, FanIDs: []int64{ids[0], 12345}}, fault.NotFound},
			{Tagging{TagID: other.ID, FanIDs: ids}, fault.NotFound},
			{Tagging{TagID: 999, FanIDs: ids}, fault.NotFound},
			{Tagging{TagID: tag.ID}, fault.Invalid},
			{Tagging{TagID: tag.ID, FanIDs: make([]int64, 0)}, fault.Invalid},
			{Tagging{TagID: tag.ID, FanIDs: upTo(MaxTagged + 1)}, fault.Invalid},
		} {
			_, err := w.mirror.TagFans(t.Context(), account, c.in)
			require.True(t, fault.Is(err, c.code), "%v", err)
		}
		require.Equal(t, []string{"100 a 0"}, w.tags())
		require.Zero(t, w.calls(simulator.PathBatchTagging))
	})
}

func upTo(n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i + 1)
	}
	return out
}

func TestATagWhoseCreationWasNotAnsweredIsFoundByItsName(t *testing.T) {
	t.Parallel()
	w := newTagWorld(t, testdb.SQLite(t))
	require.NoError(t, w.sim.SetFaults(simulator.PathTagsCreate, simulator.Faults{ResetAfter: 1}))
	require.Equal(t, 100, w.tag("a", true).WeChatID)
	require.Equal(t, []string{"100 a 0"}, w.tags())
	require.NoError(t, w.sim.SetFaults(simulator.PathTagsCreate, simulator.Faults{ResetBefore: 1}))
	_, err := w.mirror.CreateTag(t.Context(), account, NewTag{Name: "b", WeChat: true})
	require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err), "%v", err)
	require.Equal(t, []string{"100 a 0"}, w.tags(), "what was not made is not here")
}

func TestSettingWeChatTagsReplacesTheseAndLeavesOurOwn(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		openids, ids := w.followers(3)
		own, a, b := w.tag("own", false), w.tag("a", true), w.tag("b", true)
		w.add(own, ids...)
		w.add(a, ids[0], ids[1])
		w.setWeChatTags(map[int64][]int{ids[0]: {b.WeChatID, 1, 0}, ids[1]: {a.WeChatID, b.WeChatID}, ids[2]: nil, 12345: {b.WeChatID}})
		require.Equal(t, []int64{own.ID, b.ID}, w.tagged(openids[0]))
		require.Equal(t, []int64{own.ID, a.ID, b.ID}, w.tagged(openids[1]))
		require.Equal(t, []int64{own.ID}, w.tagged(openids[2]))
		require.Equal(t, []string{"0 own 3", "100 a 1", "101 b 2"}, w.tags())
		// A tag that is new: its name is told by the next synchronisation of tags.
		w.setWeChatTags(map[int64][]int{ids[0]: {134, 2}, ids[1]: {134}})
		require.Equal(t, []string{"0 own 3", "100 a 0", "101 b 0", "2  1", "134  2"}, w.tags())
		w.setWeChatTags(nil)
		w.setWeChatTags(map[int64][]int{ids[0]: {}})
		require.Equal(t, []int64{own.ID}, w.tagged(openids[0]))
	})
}

// Who tags, who synchronises and who erases lock the fans first, so that counts stay right.
func TestTagsOfFansThatChangeAtTheSameTimeAreCountedRight(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		_, ids := w.followers(60)
		own, a, b := w.tag("own", false), w.tag("a", true), w.tag("b", true)
		together(6, func(i int) {
			for round := range 5 {
				var err error
				switch mine := ids[5*i : 5*i+30]; (i + round) % 4 {
				case 0:
					_, err = w.mirror.TagFans(t.Context(), account, Tagging{TagID: own.ID, FanIDs: mine})
				case 1:
					_, err = w.mirror.UntagFans(t.Context(), account, Tagging{TagID: own.ID, FanIDs: mine[10:]})
				default:
					tags := map[int64][]int{}
					for n, id := range mine {
						tags[id] = [][]int{{a.WeChatID}, {a.WeChatID, b.WeChatID}, {}}[(n+round)%3]
					}
					err = w.db.Tx(t.Context(), func(tx *gorm.DB) error { return w.SetWeChatTags(tx, account, tags) })
				}
				if err != nil && !fault.Is(err, fault.NotFound) { // some are erased meanwhile
					t.Error(err)
				}
			}
			if err := w.db.Tx(t.Context(), func(tx *gorm.DB) error { return w.Erase(tx, w.at(0), account, ids[i:i+1]) }); err != nil {
				t.Error(err)
			}
		})
		w.tags() // compares the counts with who has them
		require.Zero(t, w.number("SELECT COUNT(*) FROM fan_tags WHERE fan_id IN ?", ids[:6]))
	})
}
