package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"hongyan/accounts"
	"hongyan/internal/config"
)

// The files of the embedded storage's key. The second one exists only while the key is being changed.
const (
	keyFile         = "secret.key"
	previousKeyFile = "secret.previous.key"
)

// openVault makes the vault that accounts' secrets are sealed with: by the configured keys, or, embedded, by one that is made on the first start and
// kept beside the data. There the database is open and locked, so that no other process makes a key of its own.
func openVault(cfg config.Config) (*accounts.Vault, error) {
	if key := cfg.Key(); key != nil {
		if previous := cfg.PreviousKey(); previous != nil {
			return accounts.NewVault(key, previous)
		}
		return accounts.NewVault(key)
	}
	return keyFiles{cfg.DataDir}.vault()
}

// keyFiles are the files of the embedded storage's key in a directory. Each file is replaced as a whole, and the key that stored secrets need is in one of
// the two at every moment, whenever the process or the machine dies.
type keyFiles struct{ dir string }

// vault returns the vault of the keys that are there. Without any, it makes the first one.
func (k keyFiles) vault() (*accounts.Vault, error) {
	current, err := k.read(keyFile)
	if err != nil {
		return nil, err
	}
	if current == nil {
		if current, err = k.renew(); err != nil {
			return nil, err
		}
	}
	previous, err := k.read(previousKeyFile)
	if err != nil {
		return nil, err
	}
	if previous == nil {
		return accounts.NewVault(current)
	}
	return accounts.NewVault(current, previous)
}

// change puts a new key in place and keeps the one that was there as the previous one. It reports false when there is a previous key already: then a change
// was interrupted after this step, and goes on with the keys that it made.
func (k keyFiles) change() (begun bool, err error) {
	current, err := k.read(keyFile)
	if err != nil {
		return false, err
	}
	previous, err := k.read(previousKeyFile)
	if err != nil {
		return false, err
	}
	if previous != nil && !bytes.Equal(previous, current) {
		return false, nil
	}
	// The copy comes first: from then on the old key outlives its place.
	if previous == nil {
		if err := k.write(previousKeyFile, current); err != nil {
			return false, err
		}
	}
	_, err = k.renew()
	return true, err
}

// forget removes the previous key, which nothing needs any more.
func (k keyFiles) forget() error {
	if err := os.Remove(filepath.Join(k.dir, previousKeyFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the previous secret key: %w", err)
	}
	return k.sync()
}

// renew makes a key and puts it in place as the current one.
func (k keyFiles) renew() ([]byte, error) {
	key := make([]byte, accounts.KeySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make a secret key: %w", err)
	}
	return key, k.write(keyFile, key)
}

// read returns the key in a file, nil if there is no such file.
func (k keyFiles) read(name string) ([]byte, error) {
	path := filepath.Join(k.dir, name)
	key, err := os.ReadFile(path) //nolint:gosec // the data directory is the operator's
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the secret key: %w", err)
	case len(key) != accounts.KeySize:
		return nil, fmt.Errorf("%s is not a secret key: it has %d bytes, not %d; put back the file from a backup", path, len(key), accounts.KeySize)
	}
	return key, nil
}

// write replaces a file as a whole: a crash leaves the old one or the new one.
func (k keyFiles) write(name string, key []byte) error {
	path := filepath.Join(k.dir, name)
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // the data directory is the operator's
	if err != nil {
		return fmt.Errorf("keep the secret key: %w", err)
	}
	_, err = file.Write(key)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("keep the secret key: %w", err)
	}
	return k.sync()
}

// sync makes the names in the directory durable.
func (k keyFiles) sync() error {
	dir, err := os.Open(k.dir)
	if err != nil {
		return fmt.Errorf("keep the secret key: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("keep the secret key: %w", err)
	}
	return nil
}
