"""xAPI statements of the Video Profile, in and out (video-engagement.md, "xAPI")."""
