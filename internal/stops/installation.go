package stops

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
)

// epochFile holds the installation's epoch outside the database, so that a restored or copied database is noticed.
const epochFile = "epoch"

// Refusal says why this copy of the installation may not send; "" when it may.
type Refusal string

// The refusals.
const (
	RefusalNone   Refusal = ""
	RefusalNoFile Refusal = "no_epoch_file"   // the database knows an epoch that this machine does not: a copy, or a new machine
	RefusalDiffer Refusal = "epoch_differs"   // the database and this machine belong to different installations
	RefusalOld    Refusal = "heartbeat_stale" // nobody was alive for longer than messages may be late: a backup, or a long outage
)

// Identity reads, makes and checks what tells one installation from a copy of it.
type Identity struct {
	DB    *database.DB
	Clock clock.Clock
	Dir   string // the data directory
}

type installationRow struct {
	Epoch       string
	HeartbeatAt int64
}

func (i Identity) row(tx *gorm.DB) (*installationRow, error) {
	var rows []installationRow
	if err := tx.Raw("SELECT epoch, heartbeat_at FROM installation WHERE id = 1").Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("read the installation: %w", err)
	}
	if len(rows) == 0 {
		return nil, errNoInstallation
	}
	return &rows[0], nil
}

func (i Identity) path() string { return filepath.Join(i.Dir, epochFile) }

// Check decides whether this copy may send. A new, empty installation gets its epoch here. maxLateness is the age from which on a
// heartbeat counts as stale.
func (i Identity) Check(ctx context.Context, maxLateness time.Duration) (Refusal, error) {
	row, err := i.row(i.DB.Read(ctx))
	if errors.Is(err, errNoInstallation) {
		return i.found(ctx)
	}
	if err != nil {
		return RefusalNone, err
	}
	known, err := os.ReadFile(i.path())
	switch {
	case errors.Is(err, os.ErrNotExist):
		return RefusalNoFile, nil
	case err != nil:
		return RefusalNone, fmt.Errorf("read the epoch file: %w", err)
	case strings.TrimSpace(string(known)) != row.Epoch:
		return RefusalDiffer, nil
	case i.Clock.Now().UnixMilli()-row.HeartbeatAt > maxLateness.Milliseconds():
		return RefusalOld, nil
	}
	return RefusalNone, i.Heartbeat(ctx)
}

// found makes a new installation. When two processes try at once, one row wins, and the other finds its epoch differing.
func (i Identity) found(ctx context.Context) (Refusal, error) {
	epoch := rand.Text()
	err := i.DB.Tx(ctx, func(tx *gorm.DB) error {
		now := i.Clock.Now().UnixMilli()
		return tx.Exec(i.DB.Dialect().InsertIgnore()+" installation (id, epoch, heartbeat_at, created_at) VALUES (1,?,?,?)", epoch, now, now).Error
	})
	if err != nil {
		return RefusalNone, fmt.Errorf("make the installation: %w", err)
	}
	row, err := i.row(i.DB.Read(ctx))
	if err != nil {
		return RefusalNone, err
	}
	if row.Epoch != epoch {
		return RefusalNoFile, nil
	}
	return RefusalNone, i.write(epoch)
}

func (i Identity) write(epoch string) error {
	if err := os.WriteFile(i.path(), []byte(epoch+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the epoch file: %w", err)
	}
	return nil
}

// Resume trusts this machine and this database to belong together: a member decided so. It frees the installation
// and counts as a heartbeat.
func (i Identity) Resume(ctx context.Context) error {
	row, err := i.row(i.DB.Read(ctx))
	if errors.Is(err, errNoInstallation) {
		_, err = i.found(ctx)
		return err
	}
	if err != nil {
		return err
	}
	err = i.DB.Tx(ctx, func(tx *gorm.DB) error {
		err := tx.Exec("UPDATE installation SET stopped = 0, stopped_reason = '', heartbeat_at = ? WHERE id = 1", i.Clock.Now().UnixMilli()).Error
		if err != nil {
			return err
		}
		_, err = Bump(tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	return i.write(row.Epoch)
}

// Heartbeat notes that the installation is alive.
func (i Identity) Heartbeat(ctx context.Context) error {
	err := i.DB.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE installation SET heartbeat_at = ? WHERE id = 1", i.Clock.Now().UnixMilli()).Error
	})
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	return nil
}
