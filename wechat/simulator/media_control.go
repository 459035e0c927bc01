package simulator

import (
	"time"

	"hongyan/internal/fault"
	"hongyan/wechat"
)

// StoredMedia is a file on the platform, as a test sees it.
type StoredMedia struct {
	MediaID   string           `json:"media_id"`
	Type      wechat.MediaType `json:"type"`
	Name      string           `json:"name"`
	Bytes     int              `json:"bytes"`
	Permanent bool             `json:"permanent"`
	At        time.Time        `json:"at"`
}

// Media lists an account's living files: first the temporary ones, then the permanent
// ones, each in order of their making. It answers NotFound.
func (s *Simulator) Media(appID string) ([]StoredMedia, error) {
	a, err := s.account(appID)
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []StoredMedia
	for _, list := range [][]*storedFile{a.media.temporary, a.media.permanent} {
		for _, f := range list {
			if f.alive(now) {
				out = append(out, StoredMedia{
					MediaID: f.id, Type: f.kind, Name: f.name, Bytes: len(f.body), Permanent: f.permanent, At: f.at,
				})
			}
		}
	}
	return out, nil
}

// PutMedia lays a temporary file under a media id of the caller's choice, as a fan's
// picture or recording is: the id of an act's push, for example. It answers NotFound,
// Invalid for a file that the platform would not have, and Conflict for an id in use.
func (s *Simulator) PutMedia(appID, mediaID string, t wechat.MediaType, body []byte) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	if err := wechat.CheckMedia(t, body); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, taken := a.media.items[mediaID]; taken {
		return fault.New(fault.Conflict, "media id %s is in use", mediaID)
	}
	a.media.keep(&storedFile{id: mediaID, kind: t, at: s.clock.Now(), body: body})
	return nil
}

// AddWebsiteMaterial adds n pieces of permanent material of a kind, news included, as
// members of the account do on the platform's website, and returns their ids. It answers
// NotFound, Invalid for an unknown kind and Conflict when they do not fit.
func (s *Simulator) AddWebsiteMaterial(appID string, t wechat.MediaType, n int) ([]string, error) {
	a, err := s.account(appID)
	if err != nil {
		return nil, err
	}
	body, ok := websiteFiles()[t]
	if !ok {
		return nil, fault.BadField("type", "unknown_type", "there is no material of type %q", t)
	}
	now := s.clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.media.roomFor(t, n) {
		return nil, fault.New(fault.Conflict, "the account has no room for %d more of type %s", n, t)
	}
	ids := make([]string, n)
	for i := range ids {
		f := &storedFile{kind: t, permanent: true, at: now, name: "website", title: "website", body: body}
		s.addMaterial(a, f)
		ids[i] = f.id
	}
	return ids, nil
}

// websiteFiles holds the smallest file of each kind.
func websiteFiles() map[wechat.MediaType][]byte {
	return map[wechat.MediaType][]byte{
		wechat.MediaImage:   []byte("\x89PNG\r\n\x1a\n"),
		wechat.MediaVoice:   []byte("#!AMR\n"),
		wechat.MediaVideo:   []byte("\x00\x00\x00\x0cftypisom"),
		wechat.MediaThumb:   []byte("\xff\xd8\xff"),
		wechat.MaterialNews: []byte("news"),
	}
}
