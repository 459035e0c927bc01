package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBenchAPIAsksForEveryListOfEveryAccount(t *testing.T) {
	t.Parallel()
	line := quickBench(t, "api", "--fans", "20000", "--deliveries", "40000")[0]
	require.Equal(t, 2000, line.Fans, "a tenth on the embedded storage")
	require.Equal(t, 4000, line.Deliveries)
	require.NotNil(t, line.ListsP95MS)
	require.Len(t, line.Worst, apiWorst)
}
