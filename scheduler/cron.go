package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// Job is something that happens by the calendar, in one process of all.
type Job struct {
	Name string
	Spec string // five fields, in the zone of Crons
	Run  func(ctx context.Context) error
}

// Crons runs jobs: every process ticks, and whoever inserts the row of a firing runs it.
type Crons struct {
	db    *database.DB
	clock clock.Clock
	log   *slog.Logger
	owner string
	zone  *time.Location
	jobs  []scheduled
}

type scheduled struct {
	Job
	next time.Time
	when cron.Schedule
}

// ParseCron reads a five-field cron specification. It refuses what the library panics on (a TZ= prefix) and what never fires.
func ParseCron(spec string, zone *time.Location, now time.Time) (cron.Schedule, error) {
	if strings.Contains(spec, "TZ=") {
		return nil, fault.BadField("cron", "no_zone", "the specification names no zone; the account's is used")
	}
	// Without descriptors: "@every" counts from each process's own start, so that no two would agree on a firing.
	when, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(spec)
	if err != nil {
		return nil, fault.BadField("cron", "syntax", "%q is not a cron specification of five fields: %s", spec, err.Error())
	}
	if when.Next(now.In(zone)).IsZero() {
		return nil, fault.BadField("cron", "never", "%q never fires", spec)
	}
	return when, nil
}

// CronOptions are what Crons are made of.
type CronOptions struct {
	DB    *database.DB
	Clock clock.Clock
	Log   *slog.Logger
	Owner string // this process
	Zone  *time.Location
	Jobs  []Job
}

// NewCrons returns the jobs, none of them due before now.
func NewCrons(o CronOptions) (*Crons, error) {
	c := &Crons{db: o.DB, clock: o.Clock, log: o.Log, owner: o.Owner, zone: o.Zone}
	now := o.Clock.Now()
	for _, j := range o.Jobs {
		when, err := ParseCron(j.Spec, o.Zone, now)
		if err != nil {
			return nil, fmt.Errorf("job %s: %w", j.Name, err)
		}
		c.jobs = append(c.jobs, scheduled{Job: j, when: when, next: when.Next(now.In(o.Zone))})
	}
	return c, nil
}

// Next is when the next job is due.
func (c *Crons) Next() time.Time {
	var first time.Time
	for i := range c.jobs {
		if first.IsZero() || c.jobs[i].next.Before(first) {
			first = c.jobs[i].next
		}
	}
	return first
}

// RunOnce runs the jobs that are due and that no other process has taken.
func (c *Crons) RunOnce(ctx context.Context) error {
	var errs []error
	for i := range c.jobs {
		j := &c.jobs[i]
		now := c.clock.Now()
		if now.Before(j.next) {
			continue
		}
		fireAt := j.next
		j.next = j.when.Next(now.In(c.zone))
		won, err := c.win(ctx, j.Name, fireAt)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if won {
			errs = append(errs, c.run(ctx, j, fireAt))
		}
	}
	return errors.Join(errs...)
}

func (c *Crons) win(ctx context.Context, name string, fireAt time.Time) (bool, error) {
	won := false
	err := c.db.Tx(ctx, func(tx *gorm.DB) error {
		res := tx.Exec(c.db.Dialect().InsertIgnore()+" job_runs (job, fire_at, owner, started_at) VALUES (?,?,?,?)",
			name, fireAt.UnixMilli(), c.owner, c.clock.Now().UnixMilli())
		won = res.RowsAffected == 1
		return res.Error
	})
	if err != nil {
		return false, fmt.Errorf("job %s: %w", name, err)
	}
	return won, nil
}

func (c *Crons) run(ctx context.Context, j *scheduled, fireAt time.Time) error {
	failed := j.Run(ctx)
	text := ""
	if failed != nil {
		text = failed.Error()
		text = text[:min(len(text), 500)]
		c.log.Error("a job failed", "job", j.Name, "error", failed)
	}
	err := c.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE job_runs SET ended_at = ?, error = ? WHERE job = ? AND fire_at = ?",
			c.clock.Now().UnixMilli(), strings.ToValidUTF8(text, ""), j.Name, fireAt.UnixMilli()).Error
	})
	if err != nil {
		return fmt.Errorf("job %s: %w", j.Name, err)
	}
	return nil
}
