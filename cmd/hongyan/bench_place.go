package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"hongyan/accounts"
	"hongyan/internal/config"
	"hongyan/internal/database"
	"hongyan/scheduler"
)

// The servers of a bench, and where they are by default.
const (
	benchMySQLVariable = "HONGYAN_BENCH_MYSQL_DSN"
	benchMySQLDefault  = "root@tcp(127.0.0.1:3306)/"
	benchRedisVariable = "HONGYAN_BENCH_REDIS_URL"
	benchRedisDefault  = "redis://127.0.0.1:6379/0"
)

// benchPlace is a private storage for one run: a database of its own, names of its own in Redis, a directory of its own.
type benchPlace struct {
	storage  string
	dir      string
	settings []string // for the process that is measured
	prefix   string   // of Redis keys
	undo     []func(context.Context) error
}

// place makes an empty storage for a process that makes up to workers calls at once.
func (b *bench) place(ctx context.Context, storage string, workers int) (_ *benchPlace, err error) {
	id := make([]byte, 6)
	if _, err := rand.Read(id); err != nil {
		return nil, fmt.Errorf("name a bench: %w", err)
	}
	p := &benchPlace{storage: storage, prefix: "hongyan-bench-" + hex.EncodeToString(id) + ":"}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.remove(ctx))
		}
	}()
	if p.dir, err = os.MkdirTemp("", "hongyan-bench-"); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	p.undo = append(p.undo, func(context.Context) error { return os.RemoveAll(p.dir) })
	p.set("ADDR", "127.0.0.1:0")
	p.set("DATA_DIR", p.dir)
	p.set("SANDBOX", "off")
	p.set("LOG_LEVEL", "error")
	p.set("SHUTDOWN_TIMEOUT", "60s")
	p.set("WORKERS", strconv.Itoa(workers))
	if storage == benchServers {
		err = p.onServers(ctx, b.environ)
	}
	return p, err
}

func (p *benchPlace) set(name, value string) {
	p.settings = append(p.settings, config.Prefix+name+"="+value)
}

// onServers makes a database, and a key for the secrets in it.
func (p *benchPlace) onServers(ctx context.Context, environ []string) error {
	dsn, err := mysql.ParseDSN(variableOr(environ, benchMySQLVariable, benchMySQLDefault))
	if err != nil {
		return fmt.Errorf("%s cannot be read; write user:password@tcp(host:3306)/", benchMySQLVariable)
	}
	dsn.DBName = ""
	server, err := sql.Open("mysql", dsn.FormatDSN())
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	name := strings.TrimSuffix(strings.ReplaceAll(p.prefix, "-", "_"), ":")
	if _, err := server.ExecContext(ctx, "CREATE DATABASE "+name+" CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"); err != nil {
		return errors.Join(fmt.Errorf("make a database for the bench (%s says where): %w", benchMySQLVariable, err), server.Close())
	}
	p.undo = append(p.undo, func(ctx context.Context) error {
		_, err := server.ExecContext(ctx, "DROP DATABASE "+name)
		return errors.Join(err, server.Close())
	})
	dsn.DBName = name
	url := variableOr(environ, benchRedisVariable, benchRedisDefault)
	p.undo = append(p.undo, func(ctx context.Context) error { return p.forget(ctx, url) })
	key := make([]byte, accounts.KeySize)
	if _, err := rand.Read(key); err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	p.set("MYSQL_DSN", dsn.FormatDSN())
	p.set("REDIS_URL", url)
	p.set("SECRET_KEY", base64.StdEncoding.EncodeToString(key))
	return nil
}

// asynqQueues is the set in which asynq lists all queues, those of other installations too.
const asynqQueues = "asynq:queues"

// forget removes what the run left in Redis.
func (p *benchPlace) forget(ctx context.Context, url string) error {
	client, err := scheduler.NewRedis(url, 2)
	if err != nil {
		return err
	}
	var keys []string
	scan := client.Scan(ctx, 0, "*"+p.prefix+"*", 1000).Iterator()
	for scan.Next(ctx) {
		keys = append(keys, scan.Val())
	}
	errs := []error{scan.Err()}
	if len(keys) > 0 {
		errs = append(errs, client.Del(ctx, keys...).Err())
	}
	queues, err := client.SMembers(ctx, asynqQueues).Result()
	errs = append(errs, err)
	for _, q := range queues {
		if strings.HasPrefix(q, p.prefix) {
			errs = append(errs, client.SRem(ctx, asynqQueues, q).Err())
		}
	}
	errs = append(errs, client.Close())
	return errors.Join(errs...)
}

// remove undoes everything, in reverse order.
func (p *benchPlace) remove(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, undo := range slices.Backward(p.undo) {
		errs = append(errs, undo(ctx))
	}
	return errors.Join(errs...)
}

// open opens the storage in this process, while the process that is measured is not there: to seed it, and to read what came of it.
func (p *benchPlace) open(ctx context.Context, b *bench, do func(*Server) error) (err error) {
	cfg, _, err := config.Load(nil, p.settings, b.err)
	if err != nil {
		return err
	}
	if !cfg.Embedded() {
		if err := p.migrate(ctx, b, cfg); err != nil {
			return err
		}
	}
	s := &Server{Config: cfg, Clock: b.clock, Log: cfg.Logger(b.err), RedisPrefix: p.prefix}
	if err := s.Open(ctx); err != nil {
		return err
	}
	defer joined(&err, s.Close)
	return do(s)
}

func (p *benchPlace) migrate(ctx context.Context, b *bench, cfg config.Config) error {
	db, err := openDatabase(ctx, cfg, b.clock, cfg.Logger(b.err))
	if err != nil {
		return err
	}
	_, err = db.Migrate(ctx)
	return errors.Join(err, db.Close())
}

// fsync says how durable a commit of the storage is.
func fsync(ctx context.Context, s *Server) (string, error) {
	db := s.storage.db
	if db.Dialect() == database.SQLite {
		return sqliteSync(ctx, db)
	}
	var flush, binlog int
	row := db.Read(ctx).Raw("SELECT @@innodb_flush_log_at_trx_commit, @@sync_binlog").Row()
	if err := row.Scan(&flush, &binlog); err != nil {
		return "", fmt.Errorf("ask how the database syncs: %w", err)
	}
	out := fmt.Sprintf("innodb_flush_log_at_trx_commit=%d sync_binlog=%d", flush, binlog)
	return out + redisSync(ctx, s.storage.redis), nil
}

// redisSync says what Redis keeps of the conveyor; some services do not tell.
func redisSync(ctx context.Context, client redis.UniversalClient) string {
	got, err := client.ConfigGet(ctx, "appendonly").Result()
	if err != nil {
		return ""
	}
	return " redis appendonly=" + got["appendonly"]
}

func variableOr(environ []string, name, otherwise string) string {
	for _, pair := range environ {
		if value, ok := strings.CutPrefix(pair, name+"="); ok && value != "" {
			return value
		}
	}
	return otherwise
}
