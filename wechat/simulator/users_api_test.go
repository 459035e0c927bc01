package simulator

import (
	"encoding/json"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whoever is on a list from its first page to its last is met exactly once, and nobody is
// met who was not on it at the time of the page, however many come and leave in between.
func TestARollIsReadWithoutGapsWhateverHappensBetweenPages(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r roll
		fans := make([]*fan, rapid.IntRange(1, 40).Draw(t, "fans"))
		on := map[*fan]bool{}
		for i := range fans {
			fans[i] = &fan{openID: strconv.Itoa(i)}
			fans[i].followPlace, on[fans[i]] = r.add(fans[i]), true
		}
		stayed, met := map[*fan]bool{}, map[string]int{}
		for _, f := range fans {
			stayed[f] = true
		}
		after, place := "", uint64(0)
		for {
			page, ok := r.page(after, place, 5)
			require.True(t, ok)
			require.Equal(t, r.count(), *page.Total)
			require.LessOrEqual(t, page.Count, 5)
			if page.Count == 0 {
				break
			}
			for _, id := range page.Data.OpenIDs {
				i, err := strconv.Atoi(id)
				require.NoError(t, err)
				require.True(t, on[fans[i]])
				met[id]++
			}
			require.Equal(t, page.Data.OpenIDs[page.Count-1], page.Next)
			after = page.Next
			i, err := strconv.Atoi(after)
			require.NoError(t, err)
			place = fans[i].followPlace
			for range rapid.IntRange(0, 4).Draw(t, "changes") {
				f := rapid.SampledFrom(fans).Draw(t, "who")
				if !on[f] && len(met) > 3*len(fans) {
					continue
				}
				stayed[f] = false
				switch {
				case on[f]:
					r.remove(f.followPlace)
				case rapid.Bool().Draw(t, "returns"):
					f.followPlace = r.add(f)
				default:
					continue
				}
				on[f] = !on[f]
			}
			if len(r.entries) > 400 {
				break
			}
		}
		for _, f := range fans {
			if stayed[f] && len(r.entries) <= 400 {
				require.Equal(t, 1, met[f.openID], "fan %s", f.openID)
			}
		}
	})
}

func TestARollForgetsWhoLeft(t *testing.T) {
	t.Parallel()
	var r roll
	keeper := &fan{openID: "keeper"}
	r.add(keeper)
	passer := &fan{openID: "passer"}
	for range 100_000 {
		r.remove(r.add(passer))
	}
	require.Less(t, len(r.entries), 3*rollSlack)
	require.Equal(t, []*fan{keeper}, r.fans())
	require.Equal(t, 1, r.count())
	r.remove(7)
	require.Equal(t, 1, r.count(), "an empty place stays empty")
	last := r.add(passer)
	page, ok := r.page("keeper", 1, 10)
	require.True(t, ok)
	require.Equal(t, []string{"passer"}, page.Data.OpenIDs)
	require.Equal(t, uint64(100_002), last)
}

// BenchmarkRollPage: the last page of a million fans must cost what the first one does.
func BenchmarkRollPage(b *testing.B) {
	var r roll
	for i := range 1_000_000 {
		r.add(&fan{openID: strconv.Itoa(i)})
	}
	for name, place := range map[string]uint64{"first": 0, "last": 989_999} {
		b.Run(name, func(b *testing.B) {
			after := ""
			if place > 0 {
				after = "cursor"
			}
			for b.Loop() {
				page, ok := r.page(after, place, maxFansPage)
				if !ok || page.Count != maxFansPage {
					b.Fatal(page.Count)
				}
			}
		})
	}
}

func FuzzParseFanLists(f *testing.F) {
	for _, seed := range []string{
		`{"user_list":[{"openid":"o1","lang":"zh_CN"},{"openid":"o2"}]}`, `{"openid_list":["o1","o2"],"tagid":134}`,
		`{"openid_list":["o1"]}`, `{"tag":{"id":134,"name":"广东"}}`, `{"tag":{"name":"x"}}`, `null`, `[]`, `{"user_list":[null]}`,
		`{"tag":null}`, `{"openid_list":null,"tagid":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		good := func(code int) bool {
			if code == codeOK {
				require.True(t, json.Valid(body) && utf8.Valid(body))
			}
			return code == codeOK
		}
		if openIDs, code := parseUserList(body); good(code) {
			require.NotEmpty(t, openIDs)
			require.LessOrEqual(t, len(openIDs), maxInfoBatch)
			require.NotContains(t, openIDs, "")
		}
		if in, code := parseTagging(body); good(code) {
			require.NotEmpty(t, in.openIDs)
			require.LessOrEqual(t, len(in.openIDs), maxTagBatch)
		}
		if openIDs, code := parseBlacklisting(body); good(code) {
			require.NotEmpty(t, openIDs)
			require.LessOrEqual(t, len(openIDs), maxBlacklistBatch)
		}
		for _, fields := range [][]string{{"name"}, {"id"}, {"id", "name"}} {
			if _, code := parseTag(body, fields...); good(code) {
				require.Contains(t, string(body), "tag")
			}
		}
	})
}
