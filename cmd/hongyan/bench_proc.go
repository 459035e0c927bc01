package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// benchUsage is what a process has used so far.
type benchUsage struct {
	CPU   time.Duration `json:"cpu"`    // user and system
	RSSKB int64         `json:"rss_kb"` // the most memory it ever held
}

// usageNow reads the usage of this process.
func usageNow() (benchUsage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return benchUsage{}, os.NewSyscallError("getrusage", err)
	}
	u := benchUsage{CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano()), RSSKB: r.Maxrss}
	// Maxrss of a child starts with what its parent held at the fork, so Linux's own mark is asked first.
	if kb := highWater("/proc/self/status"); kb > 0 {
		u.RSSKB = kb
	}
	return u, nil
}

func highWater(path string) int64 {
	status, err := os.ReadFile(path) //nolint:gosec // a name in /proc
	if err != nil {
		return 0
	}
	_, rest, found := strings.Cut(string(status), "VmHWM:")
	if !found {
		return 0
	}
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		return 0
	}
	return kb
}

// clockTicks is the unit of /proc/PID/stat on Linux.
const clockTicks = 100

// serversCPU is the time that database and Redis servers on this machine have used; 0 where it cannot be seen. It is information only.
func serversCPU() time.Duration {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	var ticks int64
	for _, path := range stats {
		stat, err := os.ReadFile(path) //nolint:gosec // a name in /proc
		if err != nil {
			continue // it has ended
		}
		head, tail, found := bytes.Cut(stat, []byte(") "))
		if !found || !isServer(head) {
			continue
		}
		// Fields 14 and 15 of the line are user and system time; the tail begins with field 3.
		fields := bytes.Fields(tail)
		for _, i := range []int{11, 12} {
			if n, err := strconv.ParseInt(string(fields[i]), 10, 64); err == nil {
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * time.Second / clockTicks
}

func isServer(head []byte) bool {
	for _, name := range []string{"(mariadbd", "(mysqld", "(redis-server", "(valkey-server"} {
		if bytes.HasSuffix(head, []byte(name)) {
			return true
		}
	}
	return false
}
