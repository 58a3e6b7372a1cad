"""xAPI: statements of others in, our sessions as statements out (video-engagement.md, "xAPI")."""
