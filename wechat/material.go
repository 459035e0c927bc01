package wechat

import (
	"context"
	"net/url"
	"time"

	"hongyan/internal/fault"
)

// MaterialPageSize is how many pieces of material the platform lists at once (platform.md 9.2).
const MaterialPageSize = 20

const (
	apiMaterialAdd    = "/cgi-bin/material/add_material"
	apiMaterialGet    = "/cgi-bin/material/get_material"
	apiMaterialDelete = "/cgi-bin/material/del_material"
	apiMaterialCount  = "/cgi-bin/material/get_materialcount"
	apiMaterialList   = "/cgi-bin/material/batchget_material"
)

// AddedMaterial is a permanent file on the platform.
type AddedMaterial struct {
	MediaID string
	URL     string // of a picture, usable inside articles; "" of other kinds
}

// AddMaterial stores a picture, recording or thumb for good (platform.md 9.2); see
// AddVideoMaterial for videos. An account has room for 100,000 pictures and 1,000 of each
// other kind (45074, 45034). It is not repeated by itself: after OutcomeLost the file may
// be there, and a second call stores it twice. What the platform would refuse is a
// fault.Invalid error of the field "media" or "type", before any call.
func (c *Client) AddMaterial(ctx context.Context, acc Account, t MediaType, f File) (AddedMaterial, error) {
	if t == MediaVideo {
		return AddedMaterial{}, fault.BadField("type", "needs_title", "a permanent video needs a title")
	}
	return c.addMaterial(ctx, acc, t, upload{file: f})
}

// VideoInfo is what fans read beside a permanent video.
type VideoInfo struct {
	Title        string `json:"title"`
	Introduction string `json:"introduction"`
}

// AddVideoMaterial stores a video for good, with a title and, if wanted, an introduction;
// see AddMaterial.
func (c *Client) AddVideoMaterial(ctx context.Context, acc Account, f File, info VideoInfo) (AddedMaterial, error) {
	if info.Title == "" {
		return AddedMaterial{}, needed("title")
	}
	description, err := encode(info)
	if err != nil {
		return AddedMaterial{}, fault.Wrap(fault.Invalid, err, "write the description of a video")
	}
	return c.addMaterial(ctx, acc, MediaVideo, upload{file: f, fields: map[string]string{"description": string(description)}})
}

func (c *Client) addMaterial(ctx context.Context, acc Account, t MediaType, up upload) (AddedMaterial, error) {
	var err error
	if up.file, err = uploadable(t, up.file); err != nil {
		return AddedMaterial{}, err
	}
	up.query = url.Values{"type": {string(t)}}
	var out struct {
		MediaID string `json:"media_id"`
		URL     string `json:"url"`
	}
	if err := c.upload(ctx, acc, apiMaterialAdd, up, &out); err != nil {
		return AddedMaterial{}, err
	}
	if out.MediaID == "" {
		return AddedMaterial{}, withoutProof(apiMaterialAdd, "media_id")
	}
	return AddedMaterial(out), nil
}

// Material is the content of permanent material: exactly one field is set.
type Material struct {
	File     *File
	Video    *MaterialVideo
	Articles []MaterialArticle
}

// MaterialVideo is a permanent video: its texts and where it can be had.
type MaterialVideo struct {
	Title       string
	Description string
	DownURL     string
}

// MaterialArticle is one article of an old article list.
type MaterialArticle struct {
	Title            string `json:"title"`
	Author           string `json:"author"`
	Digest           string `json:"digest"`
	Content          string `json:"content"` // HTML
	ContentSourceURL string `json:"content_source_url"`
	ThumbMediaID     string `json:"thumb_media_id"`
	ShowCoverPic     int    `json:"show_cover_pic"`
	URL              string `json:"url"`
	ThumbURL         string `json:"thumb_url"`
}

// GetMaterial fetches permanent material. It answers 40007 when there is none of this id.
func (c *Client) GetMaterial(ctx context.Context, acc Account, mediaID string) (Material, error) {
	if mediaID == "" {
		return Material{}, needed("media_id")
	}
	body, err := encode(mediaRef{mediaID})
	if err != nil {
		return Material{}, fault.Wrap(fault.Invalid, err, "write the body of %s", apiMaterialGet)
	}
	var out struct {
		Title       string            `json:"title"`
		Description string            `json:"description"`
		DownURL     string            `json:"down_url"`
		Articles    []MaterialArticle `json:"news_item"`
	}
	var file File
	if err := c.call(ctx, acc, &exchange{api: apiMaterialGet, body: body, out: &out, file: &file}); err != nil {
		return Material{}, err
	}
	switch {
	case arrived(file):
		return Material{File: &file}, nil
	case out.DownURL != "":
		return Material{Video: &MaterialVideo{Title: out.Title, Description: out.Description, DownURL: out.DownURL}}, nil
	case out.Articles != nil:
		return Material{Articles: out.Articles}, nil
	}
	return Material{}, withoutProof(apiMaterialGet, "file, down_url or news_item")
}

type mediaRef struct {
	MediaID string `json:"media_id"`
}

// DeleteMaterial deletes permanent material. It answers 48005 while a menu or an automatic
// reply uses it and 40007 when there is none of this id.
func (c *Client) DeleteMaterial(ctx context.Context, acc Account, mediaID string) error {
	if mediaID == "" {
		return needed("media_id")
	}
	return c.post(ctx, acc, apiMaterialDelete, mediaRef{mediaID}, nil)
}

// MaterialCounts says how much permanent material there is, with what members of the
// account added on the platform's website.
type MaterialCounts struct {
	Voices int `json:"voice_count"`
	Videos int `json:"video_count"`
	Images int `json:"image_count"`
	News   int `json:"news_count"`
}

// MaterialCounts counts permanent material.
func (c *Client) MaterialCounts(ctx context.Context, acc Account) (MaterialCounts, error) {
	var out MaterialCounts
	if err := c.get(ctx, acc, apiMaterialCount, nil, &out); err != nil {
		return MaterialCounts{}, err
	}
	return out, nil
}

// MaterialPage is part of a list of material.
type MaterialPage struct {
	Total int // in the whole list, at this moment
	Items []MaterialItem
	Next  int // offset of the next page, 0 when this is the last
}

// MaterialItem is a piece of permanent material in a list.
type MaterialItem struct {
	MediaID   string
	Name      string // of the file; "" of News
	URL       string // of a picture
	UpdatedAt time.Time
	Articles  []MaterialArticle // of News
}

// Materials lists permanent images, voices, videos or news (not thumbs) from an offset,
// up to MaterialPageSize of them. Begin with 0 and go on with Next until that is 0. What
// is added or deleted meanwhile shifts the pages, so an item may come twice or not at all.
func (c *Client) Materials(ctx context.Context, acc Account, t MediaType, offset int) (MaterialPage, error) {
	switch {
	case t != MediaImage && t != MediaVoice && t != MediaVideo && t != MaterialNews:
		return MaterialPage{}, fault.BadField("type", "unknown_type", "material of type %q cannot be listed", t)
	case offset < 0:
		return MaterialPage{}, fault.BadField("offset", "range", "an offset is not negative")
	}
	in := struct {
		Type   MediaType `json:"type"`
		Offset int       `json:"offset"`
		Count  int       `json:"count"`
	}{t, offset, MaterialPageSize}
	var out struct {
		Total int `json:"total_count"`
		Items []struct {
			MediaID    string   `json:"media_id"`
			Name       string   `json:"name"`
			URL        string   `json:"url"`
			UpdateTime looseInt `json:"update_time"`
			Content    struct {
				Articles []MaterialArticle `json:"news_item"`
			} `json:"content"`
		} `json:"item"`
	}
	if err := c.post(ctx, acc, apiMaterialList, in, &out); err != nil {
		return MaterialPage{}, err
	}
	page := MaterialPage{Total: out.Total, Items: make([]MaterialItem, len(out.Items))}
	for i, item := range out.Items {
		page.Items[i] = MaterialItem{
			MediaID: item.MediaID, Name: item.Name, URL: item.URL,
			UpdatedAt: time.Unix(int64(item.UpdateTime), 0).UTC(), Articles: item.Content.Articles,
		}
	}
	if next := offset + len(out.Items); len(out.Items) > 0 && next < out.Total {
		page.Next = next
	}
	return page, nil
}
