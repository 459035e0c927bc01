package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/limits"
)

// quickBench runs a bench with small numbers on the embedded storage and returns its lines.
func quickBench(t *testing.T, args ...string) []benchLine {
	t.Helper()
	var out bytes.Buffer
	e := env{args: append(args, "--quick", "--storage", "embedded"), environ: os.Environ(), out: &out, err: t.Output()}
	self := benchSelf{command: []string{os.Args[0], "bench"}, environ: []string{childVariable + "=1"}}
	require.NoError(t, benchRun(context.Background(), e, self))
	var lines []benchLine
	for dec := json.NewDecoder(&out); dec.More(); {
		var line benchLine
		require.NoError(t, dec.Decode(&line))
		lines = append(lines, line)
	}
	require.Len(t, lines, 2, "one run, and the medians")
	require.Equal(t, "1", lines[0].Run)
	require.Equal(t, "median", lines[1].Run)
	return lines
}

func TestBenchSendCountsAtTheOtherEnd(t *testing.T) {
	t.Parallel()
	line := quickBench(t, "send", "--n", "300")[0]
	require.Equal(t, 300, line.Deliveries)
	require.Equal(t, 50, line.InFlight)
	require.Positive(t, line.PerSecond)
	require.Positive(t, line.BarePerSecond)
	require.Positive(t, line.Ratio)
	require.Positive(t, line.CPUPer1000)
	require.Positive(t, line.PeakRSSMB)
	require.Positive(t, line.MaxMarked)
	require.LessOrEqual(t, line.MaxMarked, int64(150), "in flight and one slice")
	require.Contains(t, line.Fsync, "synchronous=FULL")
}

func TestBenchOntimeReachesEverybodyBeforeTheirGrantEnds(t *testing.T) {
	t.Parallel()
	line := quickBench(t, "ontime")[0]
	require.NotNil(t, line.Expired)
	require.Zero(t, *line.Expired)
	require.NotNil(t, line.P99MS)
}

func TestBenchCallbackLosesNoPush(t *testing.T) {
	t.Parallel()
	line := quickBench(t, "callback")[0]
	require.NotNil(t, line.Lost)
	require.Zero(t, *line.Lost)
	require.Positive(t, line.PerSecond)
}

func TestBenchGuardDoesNotAllocateWhenItAllows(t *testing.T) {
	t.Parallel()
	require.Positive(t, quickBench(t, "guard")[0].PerSecond)
}

func TestBenchSyncComparesEveryFan(t *testing.T) {
	t.Parallel()
	line := quickBench(t, "sync")[0]
	require.Equal(t, 600, line.Fans)
	require.NotNil(t, line.Wrong)
	require.Zero(t, *line.Wrong)
	require.Positive(t, line.PerSecond)
	require.Positive(t, line.PeakRSSMB)
}

func TestBenchEnrolLetsEveryFanIn(t *testing.T) {
	t.Parallel()
	line := quickBench(t, "enrol")[0]
	require.Equal(t, 300, line.Fans)
	require.NotNil(t, line.Wrong)
	require.Zero(t, *line.Wrong)
	require.Positive(t, line.Seconds)
	require.Positive(t, line.PerSecond)
}

func TestBenchRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"sned"}, {"send", "--storage", "oracle"}, {"send", "--n", "0"}} {
		var out bytes.Buffer
		require.Error(t, benchRun(context.Background(), env{args: args, out: &out, err: &out}, benchSelf{}))
	}
}

func TestMediansAreTakenOfEachFigureByItself(t *testing.T) {
	t.Parallel()
	zero, one, two := 0.0, 1.0, 2.0
	got := medianLine([]*benchLine{
		{Bench: "send", Run: "1", PerSecond: 10, Ratio: 0.3, Lost: &zero, MaxMarked: 7},
		{Bench: "send", Run: "2", PerSecond: 30, Ratio: 0.1, Lost: &two, MaxMarked: 9},
		{Bench: "send", Run: "3", PerSecond: 20, Ratio: 0.2, Lost: &one, MaxMarked: 8},
	})
	require.Equal(t, &benchLine{Bench: "send", Run: "median", PerSecond: 20, Ratio: 0.2, Lost: &one, MaxMarked: 9}, got)
}

func TestPercentilesAreThoseOfTheNearestRank(t *testing.T) {
	t.Parallel()
	values := make([]float64, 100)
	for i := range values {
		values[i] = float64(i + 1)
	}
	require.InDelta(t, 50, percentile(values, 50), 0)
	require.InDelta(t, 99, percentile(values, 99), 0)
	require.InDelta(t, 100, percentile(values, 100), 0)
	require.InDelta(t, 7, percentile([]float64{7}, 99), 0)
	require.Zero(t, percentile(nil, 99))
}

func TestTheBulkLaneHoldsExactlyTheSlotsThatABenchNames(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 50, 200} {
		require.Equal(t, n, limits.LaneSlots(inFlightFor(n), limits.LaneBulk))
	}
}
