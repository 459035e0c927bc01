package testdb

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

const seedsVariable = "HONGYAN_TEST_SEEDS"

// Seeds is how many random histories a test goes through: as many as an ordinary run can afford, or HONGYAN_TEST_SEEDS where that is set.
func Seeds(t testing.TB, ordinary uint64) uint64 {
	t.Helper()
	text := os.Getenv(seedsVariable)
	if text == "" {
		return ordinary
	}
	n, err := strconv.ParseUint(text, 10, 16)
	require.NoError(t, err, seedsVariable)
	require.Positive(t, n, seedsVariable)
	return n
}
