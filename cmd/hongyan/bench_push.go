package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"hongyan/wechat/callback"
)

// benchPusher makes pushes as the platform does: signed, encrypted, over connections that stay open.
type benchPusher struct {
	cfg  callback.Config
	host string
	path string
}

func newBenchPusher(server string) (*benchPusher, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("read the server's address: %w", err)
	}
	return &benchPusher{
		cfg:  callback.Config{AppID: benchAppID, Token: sandboxToken, AESKeys: []string{sandboxAESKey}, Mode: callback.ModeSafe},
		host: u.Host, path: "/wechat/callback/" + benchAppID,
	}, nil
}

// request seals an event and writes the whole HTTP request, so that sending it later costs next to nothing. seq makes it differ from all others.
func (p *benchPusher) request(e *callback.Event, seq int) ([]byte, error) {
	e.ToUser = benchOriginal
	body, err := callback.BuildXML(*e)
	if err != nil {
		return nil, fmt.Errorf("make a push: %w", err)
	}
	meta := callback.SealMeta{ToUser: benchOriginal, OpenID: e.FromUser, Now: e.CreatedAt, Nonce: strconv.Itoa(seq)}
	copy(meta.Random[:], fmt.Sprintf("%016d", seq))
	push, err := p.cfg.Seal(meta, body)
	if err != nil {
		return nil, fmt.Errorf("seal a push: %w", err)
	}
	q := url.Values{
		"signature": {push.Signature}, "timestamp": {push.Timestamp}, "nonce": {push.Nonce}, "openid": {push.OpenID},
		"encrypt_type": {push.EncryptType}, "msg_signature": {push.MsgSignature},
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "POST %s?%s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n", p.path, q.Encode(), p.host, len(push.Body))
	out.Write(push.Body)
	return out.Bytes(), nil
}

// pushConn is one connection of the platform to the server.
type pushConn struct {
	conn net.Conn
	in   *bufio.Reader
}

func (p *benchPusher) dial(ctx context.Context) (*pushConn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.host)
	if err != nil {
		return nil, fmt.Errorf("connect to the server: %w", err)
	}
	return &pushConn{conn: conn, in: bufio.NewReader(conn)}, nil
}

// pushTimeoutOfPlatform is how long the platform waits for an answer.
const pushTimeoutOfPlatform = 5 * time.Second

// post sends a request and waits for its acknowledgement.
func (c *pushConn) post(now time.Time, request []byte) error {
	if err := c.conn.SetDeadline(now.Add(pushTimeoutOfPlatform)); err != nil {
		return fmt.Errorf("push: %w", err)
	}
	if _, err := c.conn.Write(request); err != nil {
		return fmt.Errorf("push: %w", err)
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("push: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("a push was answered %s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
