package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/fans"
	"hongyan/internal/jobs"
)

// Of the fans of a synchronisation, some are known before and what we know of them is wrong.
const (
	syncGone = 500 // follow as far as we know, and do not
	syncBack = 500 // do not as far as we know, and follow
	syncRow  = 300 // on the blacklist, without our knowing
)

// hashOf is summed up over openids: two sets of which none holds anybody twice are the same if the sums are.
func hashOf(openid string) uint64 {
	sum := sha256.Sum256([]byte(openid))
	return binary.LittleEndian.Uint64(sum[:])
}

// syncJob is one run of sync.
type syncJob struct {
	*bench

	place    *benchPlace
	account  int64
	platform *benchProc
	worker   *benchProc
	ready    platformReady
	line     benchLine
	rssKB    int64
	idle     time.Duration // from each kill until the job went on
}

// syncKills is how many workers are killed -9 in a run.
const syncKills = 3

// syncRun measures the synchronisation of an account's fans whom we mostly do not know, with kills in between.
func (b *bench) syncRun(ctx context.Context, storage string) (_ *benchLine, err error) {
	j := &syncJob{bench: b, line: benchLine{Bench: "sync", Storage: storage, Fans: b.n}}
	if b.kill {
		j.line.Kills = syncKills
	}
	if j.place, err = b.place(ctx, storage, 1); err != nil {
		return nil, err
	}
	defer joined(&err, func() error { return j.place.remove(ctx) })
	if j.platform, err = b.start(ctx, nil, &j.ready, childPlatform, "--n", strconv.Itoa(b.n)); err != nil {
		return nil, err
	}
	defer joined(&err, j.platform.stop)
	if err := j.place.open(ctx, b, j.seed(ctx)); err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	servers := serversCPU()
	if err := j.run(ctx); err != nil {
		return nil, err
	}
	if storage == benchServers {
		j.line.DBCPUPer1000 = per1000(serversCPU()-servers, b.n)
	}
	if err := j.place.open(ctx, b, j.check(ctx)); err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	return &j.line, nil
}

// seed makes the account, those of whom we know something wrong, and the job.
func (j *syncJob) seed(ctx context.Context) func(*Server) error {
	return func(s *Server) (err error) {
		a, err := benchAccount(ctx, s, j.ready.URL, func(*accounts.Account) {})
		if err != nil {
			return err
		}
		j.account = a.ID
		then := s.Clock.Now().Add(-time.Hour).UnixMilli()
		err = s.storage.db.Tx(ctx, func(tx *gorm.DB) error {
			if err := s.Scheduler.Fans.Add(tx, a.ID, then, slices.Concat(j.ready.Gone, j.ready.Back)); err != nil {
				return err
			}
			if err := tx.Exec("UPDATE fans SET subscribed_at = ?, unsubscribed_at = ? WHERE openid IN ?", then, then, j.ready.Back).Error; err != nil {
				return err
			}
			return tx.Exec("UPDATE fans SET subscribed = 1, subscribed_at = ? WHERE openid IN ?", then, j.ready.Gone).Error
		})
		if err != nil {
			return fmt.Errorf("make fans: %w", err)
		}
		if j.line.Fsync, err = fsync(ctx, s); err != nil {
			return err
		}
		return s.Scheduler.Jobs.Create(ctx, fans.NewSync(a.ID))
	}
}

// run lets workers do the job, kills some, and times them all together: from the start of the first to the end of the job, without the leases that had to end.
func (j *syncJob) run(ctx context.Context) (err error) {
	if err := j.begin(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.worker.stop()) }()
	began := j.clock.Now()
	for k := range j.line.Kills {
		// In the middle of the list, of the infos, and near their end.
		at := []func(syncProgress) bool{
			func(p syncProgress) bool { return p.Listed >= int64(j.n)/2 || p.Done > 0 },
			func(p syncProgress) bool { return p.Done >= int64(j.n)/3 },
			func(p syncProgress) bool { return p.Done >= int64(j.n)*4/5 },
		}[k]
		if err := j.until(ctx, at); err != nil {
			return err
		}
		if err := j.die(ctx); err != nil {
			return err
		}
	}
	if err := j.until(ctx, func(p syncProgress) bool { return p.State == jobs.StateFinished }); err != nil {
		return err
	}
	took := j.clock.Now().Sub(began) - j.idle
	j.line.PerSecond = round(float64(j.n)/took.Seconds(), 1)
	if err := j.note(); err != nil {
		return err
	}
	j.line.PeakRSSMB = round(float64(j.rssKB)/1024, 1)
	return j.worker.ask("stop", &workerState{})
}

func (j *syncJob) begin(ctx context.Context) (err error) {
	j.worker, err = j.start(ctx, j.place.settings, &listening{}, childWorker, "--prefix", j.place.prefix)
	return err
}

// die kills the worker, and another goes on when the job's lease is over.
func (j *syncJob) die(ctx context.Context) error {
	if err := j.note(); err != nil {
		return err
	}
	before, died := syncProgress{}, j.clock.Now()
	if err := j.worker.ask("job", &before); err != nil {
		return err
	}
	if err := j.worker.kill(); err != nil {
		return err
	}
	if err := j.begin(ctx); err != nil {
		return err
	}
	err := j.until(ctx, func(p syncProgress) bool { return p.Done > before.Done || p.Listed > before.Listed || p.State.Ended() })
	idle := j.clock.Now().Sub(died)
	j.idle += idle
	j.line.RecoveredS = max(j.line.RecoveredS, round(idle.Seconds(), 1))
	return err
}

// note keeps how much memory the worker used at most, of all workers.
func (j *syncJob) note() error {
	var used workerState
	if err := j.worker.ask("usage", &used); err != nil {
		return err
	}
	j.rssKB = max(j.rssKB, used.RSSKB)
	if j.line.Kills == 0 {
		j.line.CPUPer1000 = per1000(used.CPU, j.n)
	}
	return nil
}

// syncProgress is how the job stands.
type syncProgress struct {
	State  jobs.State `json:"state"`
	Done   int64      `json:"done"`
	Failed int64      `json:"failed"`
	Listed int64      `json:"listed"` // from the cursor
	Error  string     `json:"error"`
}

// newestJob tells how the newest job of the bench's account stands.
func (w *benchWorker) newestJob(ctx context.Context) (syncProgress, error) {
	a, err := w.server.Scheduler.Accounts.FindAccountByAppID(ctx, benchAppID)
	if err != nil {
		return syncProgress{}, err
	}
	list, err := w.server.Scheduler.Jobs.FindJobs(ctx, jobs.Filter{AccountID: a.ID}, 1)
	if err != nil || len(list) == 0 {
		return syncProgress{}, errors.Join(err, errors.New("there is no job"))
	}
	out := syncProgress{State: list[0].State, Done: list[0].Done, Failed: list[0].Failed, Error: list[0].Error}
	if list[0].Cursor == "" {
		return out, nil
	}
	var at struct {
		Listed int64 `json:"listed"`
	}
	err = json.Unmarshal([]byte(list[0].Cursor), &at)
	out.Listed = at.Listed
	return out, err
}

// until waits until the job stands so. A job that does not move for long, or has failed, makes the run fail.
func (j *syncJob) until(ctx context.Context, reached func(syncProgress) bool) error {
	last, since := syncProgress{}, j.clock.Now()
	for {
		var now syncProgress
		if err := j.worker.ask("job", &now); err != nil {
			return err
		}
		switch {
		case reached(now):
			return nil
		case now.State.Ended() || now.Error != "":
			return fmt.Errorf("the job is %s after %d fans: %s", now.State, now.Done, now.Error)
		case now != last:
			last, since = now, j.clock.Now()
		case j.clock.Now().Sub(since) > stall:
			return fmt.Errorf("the job does not move for %s, after %d fans", stall, now.Done)
		}
		if err := j.pause(ctx, arriveEvery); err != nil {
			return err
		}
	}
}

// check compares our fans with the platform's.
func (j *syncJob) check(ctx context.Context) func(*Server) error {
	return func(s *Server) error {
		var theirs, ours platformFans
		if err := j.platform.ask("fans", &theirs); err != nil {
			return err
		}
		rows := int64(0)
		for after := int64(0); ; {
			page, err := s.Scheduler.Fans.FindFans(ctx, j.account, fans.FanFilter{AfterID: after, Limit: fanSlice})
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			for _, f := range page {
				after = f.ID
				rows++
				if f.Subscribed {
					ours.Fans++
					ours.Sum += hashOf(f.OpenID)
				}
				if f.Blacklisted {
					ours.Blacklisted = append(ours.Blacklisted, f.OpenID)
				}
			}
		}
		return j.compare(ctx, s, rows, &ours, &theirs)
	}
}

func (j *syncJob) compare(ctx context.Context, s *Server, rows int64, ours, theirs *platformFans) error {
	job, err := s.Scheduler.Jobs.FindJobs(ctx, jobs.Filter{AccountID: j.account}, 1)
	if err != nil {
		return err
	}
	want := int64(j.n + len(j.ready.Gone))
	var limits, told int64
	err = s.storage.db.Read(ctx).Raw("SELECT (SELECT COUNT(*) FROM fan_limits), (SELECT COUNT(*) FROM fans WHERE informed_at > 0)").Row().Scan(&limits, &told)
	if err != nil {
		return fmt.Errorf("count fans: %w", err)
	}
	abs := func(n int64) int64 { return max(n, -n) }
	wrong := float64(abs(rows-want) + abs(limits-want) + abs(told-want) + abs(job[0].Done-want) + abs(int64(ours.Fans-theirs.Fans)) + job[0].Failed)
	if ours.Sum != theirs.Sum || !slices.Equal(slices.Sorted(slices.Values(ours.Blacklisted)), slices.Sorted(slices.Values(theirs.Blacklisted))) {
		wrong++
	}
	j.line.Wrong = &wrong
	if wrong != 0 {
		return fmt.Errorf("of %d fans there are %d rows, %d limits, %d with details; the job counts %d; %d follow here and %d there; %d and %d are blacklisted",
			want, rows, limits, told, job[0].Done, ours.Fans, theirs.Fans, len(ours.Blacklisted), len(theirs.Blacklisted))
	}
	return nil
}
