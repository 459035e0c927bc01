package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"hongyan/accounts"
	"hongyan/internal/clock"
	"hongyan/internal/config"
	"hongyan/internal/database"
	"hongyan/scheduler"
)

// storage is what an installation keeps its data in.
type storage struct {
	db    *database.DB
	redis redis.UniversalClient
	vault *accounts.Vault
	mini  *miniredis.Miniredis
	stop  chan struct{}
	ended chan struct{}
}

const (
	databaseFile = "hongyan.db"
	redisPool    = 40
)

// openStorage opens the database, the queue and the vault that cfg names.
func openStorage(ctx context.Context, cfg config.Config, clk clock.Clock, log *slog.Logger) (_ *storage, err error) {
	if err := os.MkdirAll(cfg.DataDir, 0o750); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	st := &storage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, st.close())
		}
	}()
	if st.db, err = openDatabase(ctx, cfg, clk, log); err != nil {
		return nil, err
	}
	url := string(cfg.RedisURL)
	if cfg.Embedded() {
		if url, err = st.embedRedis(clk); err != nil {
			return nil, err
		}
		log.Info("embedded database and queue: one process, nothing to install", "data_dir", cfg.DataDir)
	}
	redis.SetLogger(redisLog{log})
	if st.redis, err = scheduler.NewRedis(url, cfg.Workers+redisPool); err != nil {
		return nil, err
	}
	st.vault, err = openVault(cfg)
	return st, err
}

func openDatabase(ctx context.Context, cfg config.Config, clk clock.Clock, log *slog.Logger) (*database.DB, error) {
	opts := database.Options{DSN: string(cfg.MySQLDSN), Clock: clk, Log: log}
	if cfg.Embedded() {
		opts.Path = filepath.Join(cfg.DataDir, databaseFile)
	}
	return database.Open(ctx, opts)
}

// embedRedis starts the in-process queue. Its clock stands still by itself, so it is moved along with ours: otherwise nothing in it would ever expire.
func (st *storage) embedRedis(clk clock.Clock) (url string, err error) {
	st.mini = miniredis.NewMiniRedis()
	if err := st.mini.Start(); err != nil {
		return "", fmt.Errorf("start the embedded queue: %w", err)
	}
	st.stop, st.ended = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(st.ended)
		for last := clk.Now(); ; {
			timer := clk.NewTimer(time.Second)
			select {
			case <-st.stop:
				timer.Stop()
				return
			case <-timer.C:
				now := clk.Now()
				st.mini.FastForward(now.Sub(last))
				last = now
			}
		}
	}()
	return "redis://" + st.mini.Addr() + "/0", nil
}

// redisLog hands go-redis' own lines, about connections that fail, to slog.
type redisLog struct{ log *slog.Logger }

// Printf implements the logger that go-redis asks for.
func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.WarnContext(ctx, fmt.Sprintf(format, v...), "from", "redis")
}

// close closes everything that was opened, in reverse order.
func (st *storage) close() error {
	var errs []error
	if st.redis != nil {
		errs = append(errs, st.redis.Close())
	}
	if st.mini != nil {
		close(st.stop)
		<-st.ended
		st.mini.Close()
	}
	if st.db != nil {
		errs = append(errs, st.db.Close())
	}
	return errors.Join(errs...)
}
