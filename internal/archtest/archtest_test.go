package archtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheHouseKeepsItsRules(t *testing.T) {
	t.Parallel()
	found, err := check("../..", house())
	require.NoError(t, err)
	require.Empty(t, found, strings.Join(found, "\n"))
}

func TestPlantedViolationsAreFound(t *testing.T) {
	t.Parallel()
	found, err := check("testdata/house", house())
	require.NoError(t, err)
	require.Equal(t, []string{
		"attic/attic.go: attic is no room of the table",
		"fans/fans.go: fans imports github.com/gofiber/fiber, which only cmd and admin may",
		"fans/fans.go: fans imports github.com/hibiken/asynq, which only scheduler may",
		"fans/fans.go: fans may not import campaigns",
		"fans/fans.go: internal/testdb is for tests",
		"guard/guard.go: guard imports gorm.io/gorm, but is pure",
		"internal/jobs/jobs.go: internal may not import fans",
		"limits/limits.go: has an init function",
		"limits/limits.go: uses time.Now; ask a clock.Clock",
		"limits/limits.go: uses time.Sleep; ask a clock.Clock",
		"wechat/wechat.go: wechat may not import wechat/callback",
	}, found)
}

func TestEveryRoomThatIsNamedInTheTableIsARoom(t *testing.T) {
	t.Parallel()
	r := house()
	for name, room := range r.rooms {
		for _, other := range room.imports {
			require.Contains(t, r.rooms, other, "imported by %s", name)
			back := r.rooms[other].imports
			require.False(t, other != name && slices.Contains(back, name), "%s and %s import each other", name, other)
		}
	}
}
