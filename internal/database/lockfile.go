package database

import (
	"errors"
	"os"
	"syscall"

	"hongyan/internal/fault"
)

// fileLock keeps a second process away from a SQLite file. SQLite itself would let it in,
// but leases, rate limits and the embedded queue of the two would not know of each other.
// The kernel drops the lock when the process dies, however it dies.
type fileLock struct{ file *os.File }

func lockFile(path string) (*fileLock, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the directory
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "create the lock file; check that the data directory exists and can be written")
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return &fileLock{file: file}, nil
	}
	if closeErr := file.Close(); closeErr != nil {
		err = errors.Join(err, closeErr)
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fault.New(fault.Conflict, // without the cause, which would tell a person nothing more
			"another Hongyan process uses this data directory (%s is locked); stop it, give this one its own HONGYAN_DATA_DIR, or use MySQL and Redis for several processes", path)
	}
	return nil, fault.Wrap(fault.Unavailable, err, "lock %s", path)
}

// release leaves the file in place: removing it would let two processes lock two files of the same name.
func (l *fileLock) release() error { return l.file.Close() }
