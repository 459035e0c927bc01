package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"hongyan/limits"
)

const taskBatch = "batch"

// batchTimeout bounds how long one batch may take; the SQL lease, renewed while it runs, is what really counts.
const batchTimeout = 10 * time.Minute

// Asynq is the Queue on Redis, and the servers that work it off: one for each lane, so that bulk batches cannot hold up urgent ones.
type Asynq struct {
	client *asynq.Client
	redis  redis.UniversalClient
	prefix string
	log    *slog.Logger
	size   map[limits.Lane]int

	servers []*asynq.Server
}

// AsynqOptions configure the queue.
type AsynqOptions struct {
	Redis  redis.UniversalClient // see NewRedis
	Prefix string                // of queue names: two installations may share a Redis
	Log    *slog.Logger
	Urgent int // batches at once in this process
	Bulk   int
}

// NewRedis connects to Redis with retries that outlast short outages: asynq's own bookkeeping gives up with its client, and
// a finished task that it could not sign off would run again (asynq#926). ReadTimeout and pool follow from that.
func NewRedis(url string, poolSize int) (redis.UniversalClient, error) {
	opt, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("read the Redis URL: %w", err)
	}
	opt.MaxRetries, opt.MinRetryBackoff, opt.MaxRetryBackoff = 40, 50*time.Millisecond, time.Second
	opt.PoolSize = poolSize
	return redis.NewClient(opt), nil
}

// NewAsynq returns the queue. It does not own the Redis client.
func NewAsynq(o AsynqOptions) *Asynq {
	return &Asynq{
		client: asynq.NewClientFromRedisClient(o.Redis), redis: o.Redis, prefix: o.Prefix, log: o.Log,
		size: map[limits.Lane]int{limits.LaneUrgent: o.Urgent, limits.LaneBulk: o.Bulk},
	}
}

func (a *Asynq) queue(lane limits.Lane) string { return a.prefix + lane.String() }

// Put implements Queue. A ticket that is in the queue already is not put in again.
func (a *Asynq) Put(ctx context.Context, t Ticket) error {
	payload, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("put batch %d into the queue: %w", t.BatchID, err)
	}
	_, err = a.client.EnqueueContext(ctx, asynq.NewTask(taskBatch, payload),
		asynq.Queue(a.queue(t.Lane)), asynq.TaskID(fmt.Sprintf("batch:%d:%d", t.BatchID, t.Attempt)),
		asynq.MaxRetry(3), asynq.Timeout(batchTimeout))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("put batch %d into the queue: %w", t.BatchID, err)
	}
	return nil
}

// Start begins to work tickets off with run.
func (a *Asynq) Start(run func(context.Context, Ticket) error) error {
	for _, lane := range []limits.Lane{limits.LaneUrgent, limits.LaneBulk} {
		server := asynq.NewServerFromRedisClient(a.redis, asynq.Config{
			Concurrency:              a.size[lane],
			Queues:                   map[string]int{a.queue(lane): 1},
			TaskCheckInterval:        pollFor(lane),
			DelayedTaskCheckInterval: time.Second,
			ShutdownTimeout:          20 * time.Second,
			RetryDelayFunc:           func(int, error, *asynq.Task) time.Duration { return 2 * time.Second },
			IsFailure:                func(err error) bool { return !errors.Is(err, asynq.ErrLeaseExpired) },
			Logger:                   asynqLog{a.log},
			LogLevel:                 asynq.WarnLevel,
		})
		err := server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
			var t Ticket
			if err := json.Unmarshal(task.Payload(), &t); err != nil {
				return fmt.Errorf("read a ticket: %w: %w", err, asynq.SkipRetry)
			}
			return run(ctx, t)
		}))
		if err != nil {
			a.Shutdown() // a server that runs on when its Redis client is closed panics
			return fmt.Errorf("start the %s workers: %w", lane, err)
		}
		a.servers = append(a.servers, server)
	}
	return nil
}

// bulkPoll bounds how fast one process can send in bulk: when it has taken the batches that wait, two of 500 at the most, it asks again after this time.
const bulkPoll = 20 * time.Millisecond

// pollFor is how often an idle server asks: messages of the urgent lane may have seconds to live.
func pollFor(lane limits.Lane) time.Duration {
	if lane == limits.LaneUrgent {
		return 50 * time.Millisecond
	}
	return bulkPoll
}

// StopFetching takes no more tickets; what runs goes on.
func (a *Asynq) StopFetching() {
	for _, s := range a.servers {
		s.Stop()
	}
}

// Shutdown waits for what runs and ends the servers.
func (a *Asynq) Shutdown() {
	for _, s := range a.servers {
		s.Shutdown()
	}
	a.servers = nil
}

// asynqLog hands asynq's log lines to slog.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) Debug(args ...any) { l.log.Debug(fmt.Sprint(args...), "from", "asynq") }
func (l asynqLog) Info(args ...any)  { l.log.Info(fmt.Sprint(args...), "from", "asynq") }
func (l asynqLog) Warn(args ...any)  { l.log.Warn(fmt.Sprint(args...), "from", "asynq") }
func (l asynqLog) Error(args ...any) { l.log.Error(fmt.Sprint(args...), "from", "asynq") }
func (l asynqLog) Fatal(args ...any) {
	l.log.Error(fmt.Sprint(args...), "from", "asynq", "fatal", true)
}
