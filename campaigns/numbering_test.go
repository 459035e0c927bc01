package campaigns

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryWayFromAStepLeadsToAHigherNumber(t *testing.T) {
	t.Parallel()
	raw := `{"steps":[{"delay":"0s"},
		{"kind":"if","then":[{"delay":"0s"},{"kind":"wait_for","timeout":"1h","for":{"on":"replied"},"then":[{"kind":"exit"}]}],"else":[]},
		{"kind":"split","arms":[{"weight":30,"steps":[]},{"weight":30,"steps":[{"kind":"tag","tag":1},{"kind":"untag","tag":1}]},{"weight":40,"steps":[{"kind":"exit"}]}]},
		{"kind":"ask","delay":"0s","timeout":"1h"},
		{"kind":"if","then":[],"else":[{"kind":"webhook","webhook":1}]}]}`
	var d Definition
	require.NoError(t, json.Unmarshal([]byte(raw), &d))
	v, err := d.compile()
	require.NoError(t, err)
	require.Len(t, v.steps, 12)
	want := map[int][]int{1: {2}, 2: {3, 6}, 3: {4}, 4: {5, 6}, 5: {0}, 6: {10, 7, 9}, 7: {8}, 8: {10}, 9: {0}, 10: {11}, 11: {0, 12}, 12: {0}}
	for i := range v.steps {
		s := &v.steps[i]
		require.Equal(t, i+1, s.no)
		require.Equal(t, want[s.no], s.ways(), "from step %d", s.no)
		for _, to := range s.ways() {
			require.True(t, to == 0 || to > s.no, "from %d to %d", s.no, to)
		}
	}
}

func TestVersionsThatWereStoredBeforeBranchesReadAsTheyDid(t *testing.T) {
	t.Parallel()
	const old = `{"definition":{"triggers":[{"kind":"follow"}],"steps":[{"delay":"0s","messages":[{"msgtype":"text","text":{"content":"a"}}],"class":"reply"},` +
		`{"at":"09:30","days":1,"messages":[{"msgtype":"text","text":{"content":"b"}}],"no_grant":"wait","lateness":"2h"}],"re_entry":{"mode":""}},"message_ids":[[7],[8]]}`
	v, err := compileStored(1, old)
	require.NoError(t, err)
	require.Equal(t, [][]int64{{7}, {8}}, [][]int64{v.steps[0].messageIDs, v.steps[1].messageIDs})
	require.Equal(t, []int{2, 0}, []int{v.steps[0].next, v.steps[1].next})
	var keep stored
	require.NoError(t, json.Unmarshal([]byte(old), &keep))
	again, err := encode(keep)
	require.NoError(t, err)
	require.Equal(t, []string{old + "\n"}, []string{again}, "what is stored again has the same bytes")
}
