package wechat

import (
	"context"
	"errors"
	"time"
)

const (
	apiShortKeyGen   = "/cgi-bin/shorten/gen"
	apiShortKeyFetch = "/cgi-bin/shorten/fetch"
)

// MaxShortKeyData bounds what a short key stands for, in bytes (platform.md 6.2).
const MaxShortKeyData = 4 << 10

// ShortKeyData is what a short key stands for.
type ShortKeyData struct {
	Data      string
	CreatedAt time.Time     // UTC
	ExpiresIn time.Duration // what is left
}

// GenShortKey keeps up to 4 KB at the platform for up to 30 days, under a key of 15 letters
// and digits that fits into a scene. It is not an address. A lost answer costs nothing but
// a key that nobody knows. Who: verified service accounts (48001). Errors: 9410010 the data
// are too long, 9410011 the lifetime is.
func (c *Client) GenShortKey(ctx context.Context, acc Account, data string, lifetime time.Duration) (string, error) {
	var k checker
	k.required("long_data", data)
	if len(data) > MaxShortKeyData {
		k.badf("long_data", "bytes", "the data have %d bytes, the platform takes at most %d", len(data), MaxShortKeyData)
	}
	if err := checkLifetime(lifetime); err != nil {
		k.errs = append(k.errs, err)
	}
	if err := errors.Join(k.errs...); err != nil {
		return "", err
	}
	in := struct {
		Data    string `json:"long_data"`
		Expires int64  `json:"expire_seconds"`
	}{data, int64(lifetime / time.Second)}
	var out struct {
		Key string `json:"short_key"`
	}
	if err := c.post(ctx, acc, apiShortKeyGen, in, &out); err != nil {
		return "", err
	}
	if out.Key == "" {
		return "", withoutProof(apiShortKeyGen, "short_key")
	}
	return out.Key, nil
}

// FetchShortKey returns what a short key stands for. 9410012 means that this account has no
// such key, or has it no longer.
func (c *Client) FetchShortKey(ctx context.Context, acc Account, key string) (ShortKeyData, error) {
	var k checker
	k.required("short_key", key)
	if err := errors.Join(k.errs...); err != nil {
		return ShortKeyData{}, err
	}
	in := struct {
		Key string `json:"short_key"`
	}{key}
	var out struct {
		Data    *string `json:"long_data"`
		Created int64   `json:"create_time"`
		Expires int64   `json:"expire_seconds"`
	}
	if err := c.post(ctx, acc, apiShortKeyFetch, in, &out); err != nil {
		return ShortKeyData{}, err
	}
	if out.Data == nil {
		return ShortKeyData{}, withoutProof(apiShortKeyFetch, "long_data")
	}
	return ShortKeyData{
		Data: *out.Data, CreatedAt: time.Unix(out.Created, 0).UTC(), ExpiresIn: time.Duration(out.Expires) * time.Second,
	}, nil
}
