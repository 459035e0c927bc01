package callback

// Text is a text message. MenuID is set when the fan tapped an item of an in-chat menu
// message (bizmsgmenuid), which counts as a menu tap and not as writing.
type Text struct{ Content, MenuID, BusinessID string }

// Image is a picture; MediaID is valid for three days.
type Image struct{ PicURL, MediaID string }

// Voice is a recording. Recognition is filled only on accounts that still have speech
// recognition switched on.
type Voice struct{ MediaID, Format, MediaID16K, Recognition string }

// Video is the payload of video and shortvideo messages.
type Video struct{ MediaID, ThumbMediaID string }

// Location is a place that the fan sent as a message.
type Location struct {
	Latitude, Longitude float64 // degrees
	Scale               int     // zoom of the map
	Label               string
}

// Link is a web page that the fan forwarded.
type Link struct{ Title, Description, URL string }

// File is a file that the fan sent. Not documented; seen in the wild (platform.md 2.4).
type File struct {
	Title, Description, FileKey, FileMD5 string
	Size                                 int64 // bytes
}

func messageDecoder(msgType string) decoder {
	switch msgType {
	case "text":
		return func(n *node, _ *fields) any {
			return Text{Content: n.str("Content"), MenuID: n.str("bizmsgmenuid"), BusinessID: n.str("BusinessId")}
		}
	case "image":
		return func(n *node, _ *fields) any { return Image{PicURL: n.str("PicUrl"), MediaID: n.str("MediaId")} }
	case "voice":
		return func(n *node, _ *fields) any {
			return Voice{n.str("MediaId"), n.str("Format"), n.str("MediaId16K"), n.str("Recognition")}
		}
	case "video", "shortvideo":
		return func(n *node, _ *fields) any { return Video{n.str("MediaId"), n.str("ThumbMediaId")} }
	case "location":
		return func(n *node, f *fields) any {
			return Location{f.float(n, "Location_X"), f.float(n, "Location_Y"), f.int(n, "Scale"), n.str("Label")}
		}
	case "link":
		return func(n *node, _ *fields) any { return Link{n.str("Title"), n.str("Description"), n.str("Url")} }
	case "file":
		return func(n *node, f *fields) any {
			return File{
				Title: n.str("Title"), Description: n.str("Description"),
				FileKey: n.str("FileKey"), FileMD5: n.str("FileMd5"), Size: f.int64(n, "FileTotalLen"),
			}
		}
	}
	return nil
}

func (t Text) nodes() []node {
	out := []node{text("Content", t.Content)}
	out = append(out, optional("bizmsgmenuid", t.MenuID)...)
	return append(out, optional("BusinessId", t.BusinessID)...)
}

func (i Image) nodes() []node { return []node{text("PicUrl", i.PicURL), text("MediaId", i.MediaID)} }

func (v Voice) nodes() []node {
	out := []node{text("MediaId", v.MediaID), text("Format", v.Format)}
	out = append(out, optional("MediaId16K", v.MediaID16K)...)
	return append(out, optional("Recognition", v.Recognition)...)
}

func (v Video) nodes() []node {
	return []node{text("MediaId", v.MediaID), text("ThumbMediaId", v.ThumbMediaID)}
}

func (l Location) nodes() []node {
	return []node{
		decimal("Location_X", l.Latitude), decimal("Location_Y", l.Longitude),
		number("Scale", int64(l.Scale)), text("Label", l.Label),
	}
}

func (l Link) nodes() []node {
	return []node{text("Title", l.Title), text("Description", l.Description), text("Url", l.URL)}
}

func (f File) nodes() []node {
	return []node{
		text("Title", f.Title), text("Description", f.Description),
		text("FileKey", f.FileKey), text("FileMd5", f.FileMD5), number("FileTotalLen", f.Size),
	}
}
