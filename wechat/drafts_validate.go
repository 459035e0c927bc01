package wechat

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"
)

func validateDraft(articles []DraftArticle) error {
	var c checker
	if len(articles) == 0 || len(articles) > MaxDraftArticles {
		c.badf("articles", "count", "a draft has 1 to %d articles, here are %d", MaxDraftArticles, len(articles))
	}
	for i := range articles {
		articles[i].check(&c, fmt.Sprintf("articles[%d]", i))
	}
	return errors.Join(c.errs...)
}

// check applies the table of platform.md 5.5.
func (a *DraftArticle) check(c *checker, path string) {
	c.required(path+".title", a.Title)
	c.required(path+".content", a.Content)
	for _, f := range []struct {
		name, value string
		most        int
	}{
		{"title", a.Title, MaxArticleTitle},
		{"author", a.Author, MaxArticleAuthor},
		{"digest", a.Digest, MaxArticleDigest},
		{"content", a.Content, MaxArticleContent - 1},
	} {
		if n := utf8.RuneCountInString(f.value); n > f.most {
			c.badf(path+"."+f.name, "characters", "this has %d characters, the platform takes at most %d", n, f.most)
		}
	}
	if len(a.Content) >= MaxArticleBytes {
		c.badf(path+".content", "bytes", "the content has %d bytes, it must have fewer than %d", len(a.Content), MaxArticleBytes)
	}
	if len(a.SourceURL) > MaxArticleSourceURL {
		c.badf(path+".content_source_url", "bytes", "the address has %d bytes, the platform takes at most %d", len(a.SourceURL), MaxArticleSourceURL)
	}
	a.checkCrops(c, path)
	switch a.Type {
	case "", ArticleNews:
		c.required(path+".thumb_media_id", a.CoverMediaID)
	case ArticlePictures:
		a.Pictures.check(c, path+".image_info.image_list")
	default:
		c.badf(path+".article_type", "unknown", "%q is not a form of article", a.Type)
	}
}

func (p *DraftPictures) check(c *checker, path string) {
	if p == nil || len(p.List) == 0 || len(p.List) > MaxArticlePictures {
		c.badf(path, "count", "an article of pictures has 1 to %d", MaxArticlePictures)
		return
	}
	for i, picture := range p.List {
		c.required(fmt.Sprintf("%s[%d].image_media_id", path, i), picture.MediaID)
	}
}

var (
	cropBox   = regexp.MustCompile(`^(0|1|[01]\.\d+)_(0|1|[01]\.\d+)_(0|1|[01]\.\d+)_(0|1|[01]\.\d+)$`)
	cropPoint = regexp.MustCompile(`^(0|1|[01]\.\d+)$`)
)

func (a *DraftArticle) checkCrops(c *checker, path string) {
	for _, f := range []struct{ name, value string }{
		{"pic_crop_235_1", a.WideCrop}, {"pic_crop_1_1", a.SquareCrop},
	} {
		if f.value != "" && !cropBox.MatchString(f.value) {
			c.badf(path+"."+f.name, "crop", "a crop is X1_Y1_X2_Y2, each from 0 to 1")
		}
	}
	if a.Cover == nil {
		return
	}
	for i, crop := range a.Cover.Crops {
		field := fmt.Sprintf("%s.cover_info.crop_percent_list[%d]", path, i)
		if !slices.Contains([]string{"1_1", "16_9", "2.35_1"}, crop.Ratio) {
			c.badf(field+".ratio", "unknown", "a ratio is 1_1, 16_9 or 2.35_1")
		}
		for _, at := range []string{crop.X1, crop.Y1, crop.X2, crop.Y2} {
			if !cropPoint.MatchString(at) {
				c.badf(field, "crop", "a corner's place is a number from 0 to 1")
				break
			}
		}
	}
}
