package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkSendKefuJSON(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == apiStableToken {
			fmt.Fprint(w, `{"access_token":"T","expires_in":7200}`)
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			b.Error(err)
		}
		fmt.Fprint(w, plainOK)
	}))
	defer server.Close()
	transport := NewTransport(50)
	defer transport.CloseIdleConnections()
	m := TextMessage(strings.Repeat("汉", 60))
	body, err := AppendKefu(nil, "oABCDEFGHIJKLMNOPQRSTUVWXYZ01", &m)
	require.NoError(b, err)
	b.Run("client", func(b *testing.B) {
		client := New(Options{Transport: transport})
		acc := Account{ID: 1, AppID: "wx1", Secret: "s", BaseURL: server.URL}
		b.ReportAllocs()
		for b.Loop() {
			if err := client.SendKefuJSON(b.Context(), acc, body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := bareSend(b.Context(), transport, server.URL, body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func bareSend(ctx context.Context, transport http.RoundTripper, base string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+apiKefuSend+"?access_token=T", strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	var answer struct{ ErrCode int }
	return errors.Join(json.NewDecoder(resp.Body).Decode(&answer), resp.Body.Close())
}

func BenchmarkAppendKefu(b *testing.B) {
	m := TextMessage(strings.Repeat("汉", 60) + "\nhttps://example.com/?a=1&b=2")
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = AppendKefu(buf[:0], "oABCDEFGHIJKLMNOPQRSTUVWXYZ01", &m); err != nil {
			b.Fatal(err)
		}
	}
}
